"""A farm as the first reelmill left it: a database at schema 0001 with a job in every status."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, inspect, text

import reelmill.store.migrations
from reelmill.store.protocol import Store

SCRIPTS = str(Path(reelmill.store.migrations.__file__).parent)

_PARAMETERS = '{"duration":1.0,"bitrate":2000000,"output":"outputs/a.mp4"}'
_RESULT = (
    '{"output":"outputs/a.mp4","size_bytes":1234,"sha256":"ab","container":"mp4","codec":"h264","width":854,'
    '"height":480,"fps":30.0,"duration":1.0,"frames":30,"audio_codec":null,"engine":"ffmpeg","encode_seconds":0.5,'
    '"cpu_seconds":0.4,"speed":2.0}'
)
_HELD = {"attempt": 1, "node_id": "mill-1-id", "node_name": "mill-1", "lease_until": 1_700_000_030.0}
_ENDED: dict[str, Any] = {"attempt": 1, "node_name": "mill-1", "completed_at": 1_700_000_010.0}
JOBS: dict[str, dict[str, Any]] = {
    "queued": {"ready": True},
    "assigned": _HELD | {"assigned_at": 1_700_000_000.0},
    "running": _HELD | {"started_at": 1_700_000_001.0, "progress": 50.0},
    "retrying": {"attempt": 1, "eligible_at": 1_700_000_060.0, "failures": 1},
    "paused": {"passed_over_at": 1_700_000_002.0, "reserved_node": "mill-1-id"},
    "completed": _ENDED | {"winner": 1, "result": _RESULT, "progress": 100.0, "idempotency_key": "once"},
    "failed": _ENDED | {"failure_reason": "input_error", "error_code": "input_missing", "error": "It is not there."},
    "canceled": _ENDED | {"failure_reason": "canceled"},
    "timed_out": _ENDED | {"failure_reason": "timeout"},
}
"""What is special about the job in each status; its number is its place here, from 1."""
HIGHEST_NUMBER = 41
"""Given once to a job that is gone: nobody may get it again."""

_COLUMNS = (
    *("sequence_number", "id", "tenant", "launch_id", "scenario", "engine", "queue", "priority", "status"),
    *("parameters", "labels", "confidence", "created_at", "attempt", "failures", "crashes", "eligible_at", "node_id"),
    *("node_name", "lease_until", "winner", "progress", "fps", "speed", "eta", "assigned_at", "started_at"),
    *("completed_at", "failure_reason", "error_code", "error", "result", "idempotency_key", "fingerprint", "lane_id"),
    *("rank", "ready", "passed_over_at", "reserved_node"),
)
_COMMON: dict[str, Any] = dict.fromkeys(_COLUMNS) | {
    "tenant": "default",
    "launch_id": "l-1",
    "scenario": "480p30-h264",
    "engine": "auto",
    "queue": "default",
    "priority": "medium",
    "parameters": _PARAMETERS,
    "labels": '{"a":"b"}',
    "created_at": 1_699_999_999.0,
    "attempt": 0,
    "failures": 0,
    "crashes": 0,
    "progress": 0.0,
    "lane_id": 1,
    "rank": 4,
    "ready": False,
}
_ONCE = (
    "INSERT INTO lanes (id, engine, codec, cost) VALUES (1, 'ffmpeg', 'h264', 1)",
    "INSERT INTO launches VALUES ('l-1', 'an old one', 1.0)",
)
_FOR_EACH_JOB = (
    f"INSERT INTO jobs ({', '.join(_COLUMNS)}) VALUES ({', '.join(':' + name for name in _COLUMNS)})",
    "INSERT INTO history (sequence_number, at, from_status, to_status, attempt, reason) "
    "VALUES (:sequence_number, 1.0, 'queued', :status, 1, 'so it was')",
    "INSERT INTO logs VALUES (:sequence_number, 1, 'mill-1', 'ffmpeg', :status)",
    "INSERT INTO counts VALUES (:status, 'default', 'medium', '480p30-h264', 1)",
    "INSERT INTO launch_counts VALUES ('l-1', :status, 1)",
)
_NUMBERS_GIVEN = {
    "sqlite": (f"UPDATE sqlite_sequence SET seq = {HIGHEST_NUMBER} WHERE name = 'jobs'",),
    "postgresql": (
        f"SELECT setval('jobs_sequence_number_seq', {HIGHEST_NUMBER})",
        "SELECT setval('lanes_id_seq', 1)",
    ),
}


class OldFarm:
    """The database, in an engine's, that a store made by ``make_store`` opens; it is filled at once."""

    def __init__(self, engine: Engine, make_store: Callable[[], Store]) -> None:
        self.engine = engine
        self.make_store = make_store
        config = Config()
        config.set_main_option("script_location", SCRIPTS)
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "0001")
            _fill(connection)

    def content(self) -> dict[str, list[dict[str, Any]]]:
        """All rows of all tables."""
        with self.engine.connect() as connection:
            tables = inspect(connection).get_table_names()
            rows = {table: connection.execute(text(f"SELECT * FROM {table}")).mappings() for table in tables}
            return {table: sorted((dict(row) for row in found), key=_first_value) for table, found in rows.items()}

    def shape(self) -> list[tuple[str, list[str], list[str], list[str]]]:
        """For each table its name, and the names of its columns, indexes and CHECKs."""
        with self.engine.connect() as connection:
            seen = inspect(connection)
            return [
                (
                    table,
                    [str(column["name"]) for column in seen.get_columns(table)],
                    sorted(str(index["name"]) for index in seen.get_indexes(table)),
                    sorted(str(check["name"]) for check in seen.get_check_constraints(table)),
                )
                for table in seen.get_table_names()
            ]


def _first_value(row: dict[str, Any]) -> str:
    return repr(next(iter(row.values())))


def _fill(connection: Connection) -> None:
    for statement in _ONCE:
        connection.execute(text(statement))
    for number, (status, own) in enumerate(JOBS.items(), 1):
        job_id = f"0190a000-0000-7000-8000-{number:012}"
        values = _COMMON | own | {"sequence_number": number, "id": job_id, "status": status}
        for statement in _FOR_EACH_JOB:
            connection.execute(text(statement), values)
    for statement in _NUMBERS_GIVEN[connection.dialect.name]:
        connection.execute(text(statement))
