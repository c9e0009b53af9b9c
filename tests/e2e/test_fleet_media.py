"""A fleet without a shared folder: media go between masters and workers over HTTP."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

from reelmill.worker.inventory import find_ffmpeg
from tests.e2e.conftest import wait_for
from tests.e2e.fleet import Fleet

SHORT = {"scenario": "480p30-h264", "parameters": {"duration": 1}}


def files_under(folder: Path) -> list[str]:
    """The names of the files there, at whatever depth."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_outputs_of_a_worker_without_the_folder_lie_under_that_of_the_masters(fleet: Fleet) -> None:
    """Byte for byte what the store says of them; the worker keeps the input, and nothing else."""
    fleet.master()
    fleet.far_worker("far")
    media = fleet.folder / "media"
    source = ["-f", "lavfi", "-i", "testsrc2=size=640x480:rate=25", "-t", "2", "-pix_fmt", "yuv420p"]
    subprocess.run([find_ffmpeg().path, "-v", "error", *source, media / "in.mp4"], check=True)
    fleet.post("/jobs", SHORT)
    fleet.post("/jobs", {"scenario": "480p30-h264", "parameters": {"input": "in.mp4", "output": "out/film.mp4"}})
    results = [job["result"] for job in fleet.until_ended(2)]
    for result in results:
        output = (media / result["output"]).read_bytes()
        assert (hashlib.sha256(output).hexdigest(), len(output)) == (result["sha256"], result["size_bytes"])
    wait_for(lambda: files_under(media), lambda names: names == sorted(["in.mp4", *(r["output"] for r in results)]))
    [lock, kept] = sorted(files_under(fleet.folder / "far"), key=lambda name: name != "worker/lock")
    assert "worker/lock" == lock
    assert (media / "in.mp4").read_bytes() == (fleet.folder / "far" / kept).read_bytes()


def test_doctor_shows_which_worker_cannot_use_its_place_of_media(fleet: Fleet) -> None:
    """One shares the folder, one has it over HTTP, and one was told a wrong folder, which fails with its reason."""
    fleet.master()
    join = fleet.token()
    fleet.worker(join, "sharing")
    fleet.far_worker("far")
    good = fleet.commands.run("doctor", "--fleet", "--master", fleet.urls[-1])
    assert (0, "") == (good.returncode, good.stderr)
    assert [["far", "ok"], ["sharing", "ok"]] == [[line.split()[0], "ok"] for line in good.stdout.splitlines()[1:]]
    assert "failed" not in good.stdout
    wrong = fleet.folder / "wrong"
    wrong.mkdir()
    fleet.worker(join, "stray", "--media", str(wrong))
    end = fleet.commands.run("doctor", "--fleet", "--master", fleet.urls[-1], "-o", "json")
    assert 3 == end.returncode, end.stderr
    assert "1 of 3 workers" in end.stderr
    found = {place["node"]: (place["read"], place["write"], place["trouble"]) for place in json.loads(end.stdout)}
    assert ("ok", "ok", None) == found["sharing"] == found["far"]
    read, write, trouble = found["stray"]
    assert ("failed", "failed") == (read, write)
    assert str(wrong) in trouble
    assert [] == files_under(wrong) == files_under(fleet.folder / "media")
