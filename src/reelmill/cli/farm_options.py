"""The options that commands which start parts of a farm share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

StoreOption = Annotated[
    str | None, typer.Option(metavar="URL", help="PostgreSQL to use.", show_default="a SQLite file in --data")
]
HostOption = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Address to listen on.", show_default="127.0.0.1")
]
PortOption = Annotated[
    int | None, typer.Option(metavar="N", help="Port of the API; 0 takes a free one.", show_default="8080")
]
DataOption = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Folder of the database.", show_default="~/.local/share/reelmill"),
]
MediaOption = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER",
        help="Folder that jobs may read from and write to, or s3://, gs:// or az://BUCKET/PREFIX.",
        show_default="the current folder",
    ),
]
SlotsOption = Annotated[int | None, typer.Option(metavar="N", help="CPU units to use.", show_default="one per core")]
ReserveLiveOption = Annotated[
    int | None, typer.Option(metavar="N", help="CPU units kept free for the live queue.", show_default="0")
]
RetentionOption = Annotated[
    str | None, typer.Option(metavar="TIME", help="How long to keep ended jobs: 12h, 30d, forever.", show_default="30d")
]
LabelOption = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="Label of this node, for jobs that ask for it; several times."),
]
SessionsOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FAMILY=N", help="At most N encodes at once on such devices: nvenc=3, qsv=8.", show_default="no limit"
    ),
]
PricePerHourOption = Annotated[
    float | None, typer.Option(metavar="PRICE", help="What this node costs by the hour.", show_default="unknown")
]
PricePerKwhOption = Annotated[
    float | None, typer.Option(metavar="PRICE", help="What a kWh costs here.", show_default="unknown")
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")]
