"""How reelmill writes its log: to stderr, JSON when nobody reads along."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

CODE = """
import structlog
from reelmill.logs import configure_logs
configure_logs(verbose={verbose}, json={json})
log = structlog.get_logger()
log.debug("detail")
log.info("job_done", job="a", took=1.5)
try:
    raise LookupError("on purpose")
except LookupError:
    log.exception("round_failed")
"""


def written(*, verbose: bool = False, as_json: bool | None = None) -> subprocess.CompletedProcess[str]:
    """What a process of its own writes, with stderr a pipe."""
    code = CODE.format(verbose=verbose, json=as_json)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


def test_without_a_terminal_each_line_is_json_on_stderr() -> None:
    """Data belongs on stdout, so the log stays away from it; an exception keeps its traceback."""
    ended = written()
    lines = [json.loads(line) for line in ended.stderr.splitlines()]

    assert "" == ended.stdout
    assert ["job_done", "round_failed"] == [line["event"] for line in lines]
    assert ("a", 1.5, "info") == (lines[0]["job"], lines[0]["took"], lines[0]["level"])
    assert "LookupError: on purpose" in lines[1]["exception"]


def test_verbose_shows_details() -> None:
    """And only then."""
    assert "detail" in written(verbose=True).stderr


def test_lines_for_people_have_no_colour_in_a_pipe() -> None:
    """Whoever keeps the log in a file can read it."""
    ended = written(as_json=False)

    assert "job_done" in ended.stderr
    assert "\x1b" not in ended.stderr


def test_a_traceback_on_a_terminal_shows_no_values() -> None:
    """They hold the keys of streams. A terminal is what it takes: without colours none were shown."""
    code = """
import structlog
from reelmill.logs import configure_logs
configure_logs()
def send(url):
    raise LookupError("on purpose")
try:
    send("rtmp://h/app/" + "-".join(["key", "4711"]))
except LookupError:
    structlog.get_logger().exception("round_failed")
"""
    screen, terminal = pty.openpty()
    try:
        ended = subprocess.run([sys.executable, "-c", code], stderr=terminal, check=False, env={"TERM": "xterm"})
        said = os.read(screen, 65536).decode()
    finally:
        os.close(screen)
        os.close(terminal)
    assert 0 == ended.returncode
    assert "LookupError" in said
    assert "key-4711" not in said


def test_what_asyncio_says_whenever_a_tls_peer_leaves_is_left_out() -> None:
    """It has no meaning for whoever reads along; all else that asyncio says stays."""
    code = """
import logging
from reelmill.logs import configure_logs
configure_logs()
for words in ("returning true from eof_received() has no effect when using ssl", "news"):
    logging.getLogger("asyncio").warning(words)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "news\n" == ended.stderr
