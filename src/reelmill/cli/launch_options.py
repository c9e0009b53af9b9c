"""The options of `reelmill launch`, as its help shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Count = Annotated[
    str | None,
    typer.Option(metavar="N", help="How many jobs; 10k works, at most 100m.", show_default="1000, or 1 with --input"),
]
ScenarioName = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="A scenario, or random; needed with --input.", show_default="random"),
]
BatchSize = Annotated[
    str | None,
    typer.Option(
        metavar="N",
        help="Jobs per request, at most 10000.",
        show_default="50 at first, up to 1000 while the master answers quickly",
    ),
]
Concurrency = Annotated[str, typer.Option(metavar="N", help="Most requests at a time.")]
Rate = Annotated[str | None, typer.Option(metavar="RATE", help="Send at this rate, such as 200/s or 30/min.")]
Ramp = Annotated[
    str | None, typer.Option(metavar="RAMP", help="Send at a rate that changes, such as '0..500/s over 2m'.")
]
Poisson = Annotated[bool, typer.Option("--poisson", help="With --rate or --ramp: at random, as independent users do.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the launch whose results are in --output.")]
RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", help="Send again what was refused, and try again what failed, of that launch.")
]
Sample = Annotated[
    str | None,
    typer.Option(metavar="SHARE", help="Run so many first, such as 1% or 20, and stop when one does not complete."),
]
Delay = Annotated[
    str | None,
    typer.Option(
        metavar="MS", help="Between batches, in ms; 1s works.", show_default="100; none with --rate or --ramp"
    ),
]
PriorityName = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="high, medium, low or mixed.", show_default="mixed, or medium with --input"),
]
QueueName = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="live, default, batch or mixed.", show_default="mixed, or default with --input"),
]
EngineName = Annotated[str | None, typer.Option(metavar="NAME", help="auto, ffmpeg or gstreamer.", show_default="auto")]
Output = Annotated[
    Path, typer.Option(metavar="FILE", help="Where to write the results, as a JSON array; - is standard output.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be submitted; submit nothing.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say what becomes of each batch.")]
Duration = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Length of each job: 2, 1.5s, 2m, or a range 30-300.",
        show_default="30-300; all of --input",
    ),
]
Bitrate = Annotated[
    str | None,
    typer.Option(metavar="RATE", help="Such as 5M, or a range 4M-10M.", show_default="the scenario's usual range"),
]
Chunk = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Encode each input in chunks of about this length, such as 60s, on all nodes at once.",
        show_default="in one",
    ),
]
Encoder = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="This encoder and no other, such as h264_nvenc or libx264.",
        show_default="the node's choice",
    ),
]
Input = Annotated[
    str | None,
    typer.Option("--input", metavar="PATH", help="Transcode this file, or those of a pattern such as 'in/**/*.mov'."),
]
Manifest = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="FILE", help="One job for each row of a .csv, .ndjson or .json; - is standard input."
    ),
]
OutputName = Annotated[
    str | None,
    typer.Option(
        "--to",
        metavar="TEMPLATE",
        help="Name each job's output by its input, such as 'outputs/{dir}/{stem}-{scenario}.mp4'.",
    ),
]
SkipExisting = Annotated[bool, typer.Option("--skip-existing", help="Leave out inputs whose output is there already.")]
Quality = Annotated[
    str | None,
    typer.Option(metavar="METRIC", help="Measure each output behind its encode: vmaf, xpsnr or ssim."),
]
QualitySample = Annotated[
    str | None, typer.Option(metavar="N", help="Measure every n-th frame only.", show_default="1")
]
QualityMin = Annotated[
    str | None, typer.Option(metavar="SCORE", help="Fail jobs whose output is below this on average.")
]
Verify = Annotated[
    str | None,
    typer.Option(metavar="DEPTH", help="Decode each output before it counts: its ends, or full.", show_default="ends"),
]
Mix = Annotated[
    list[str] | None,
    typer.Option(
        metavar="SHARES",
        help="Weights of queues, priorities, scenarios or kinds, such as 'live=1,default=7'; several times.",
    ),
]
WorkloadFile = Annotated[
    Path | None,
    typer.Option("--workload", metavar="FILE", help="Kinds of jobs, their shares and arrival, as TOML or YAML."),
]
Thresholds = Annotated[
    list[str] | None,
    typer.Option(
        "--threshold",
        metavar="RULE",
        help="Watch to the end, and exit 99 when it is not so: 'failed<1%', 'p95(queue_wait)<5m'; several times.",
    ),
]
ReportFile = Annotated[
    Path | None,
    typer.Option("--report", metavar="FILE", help="Watch to the end, and write a report: .html, .json or .xml."),
]
Wait = Annotated[bool, typer.Option("--wait", help="Watch until every job has ended.")]
Seed = Annotated[
    str | None, typer.Option(metavar="N", help="The same seed gives the same jobs.", show_default="random")
]
Name = Annotated[str | None, typer.Option(metavar="TEXT", help="A name for this launch.")]
TenantName = Annotated[
    str | None, typer.Option(metavar="NAME", help="On whose behalf the jobs run.", show_default="default")
]
NodeLabels = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="Run only on nodes with this label; several times."),
]
