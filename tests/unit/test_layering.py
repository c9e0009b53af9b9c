"""Which part may import which, and how large a file may be and how named: the layout of the design, enforced."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PARTS = frozenset({"domain", "store", "bus", "media", "master", "worker", "launcher", "cli"})
BASE = frozenset({"errors", "clock", "service", "settings", "logs"})
MAY_IMPORT: dict[str, frozenset[str]] = {
    "domain": frozenset({"domain", "errors"}),
    "store": BASE | {"store", "domain"},
    "bus": BASE | {"bus", "domain"},
    "media": BASE | {"media", "domain"},
    "master": BASE | {"master", "domain", "store", "bus", "media"},
    "worker": BASE | {"worker", "domain", "bus", "media"},
    "launcher": BASE | {"launcher", "domain"},
    "cli": BASE | PARTS,
    "__main__": frozenset({"cli"}),  # `python -m reelmill` is the command by another name
    "__init__": frozenset(),
    **dict.fromkeys(BASE, BASE),
    "settings": BASE | {"domain"},  # quantities are written there as in requests
}
# A library that one part hides from the others, and the modules it is hidden in.
HIDDEN_IN: dict[str, tuple[str, ...]] = {
    "av": ("reelmill.worker.probe_process",),
    "sqlalchemy": ("reelmill.store",),
    "alembic": ("reelmill.store",),
    "psycopg": ("reelmill.store",),
    "nats": ("reelmill.bus",),
    "cryptography": ("reelmill.bus",),
    "litestar": ("reelmill.master",),
    "uvicorn": ("reelmill.master",),
    "typer": ("reelmill.cli",),
    "httpx2": ("reelmill.launcher", "reelmill.cli", "reelmill.worker.media_master", "reelmill.worker.store_exchange"),
}
BUCKETS = frozenset({"utils", "util", "common", "helpers", "helper", "misc"})
MAX_FILE_LINES = 420
MAX_FUNCTION_LINES = 60
FOLDERS_AT_ROOT = frozenset(
    {".ci", "benchmarks", "deploy", "docs", "examples", "requirements", "scripts", "src", "tests"}
)
FILES_AT_ROOT = frozenset(
    {".editorconfig", ".gitattributes", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md"}
    | {"SECURITY.md", "pyproject.toml"}
)


def violations(source: str, module: str) -> list[str]:
    """What the imports of ``module`` break. A package's own file is named ``reelmill.part.__init__``."""
    part = module.split(".")[1]
    if part not in MAY_IMPORT:
        return [f"{module}: is in no part of the layout"]
    found: list[str] = []
    for line, name in imported_names(ast.parse(source), module):
        top, _, below = name.partition(".")
        if top == "reelmill":
            if not below:
                found.append(f"{module}:{line}: imports reelmill whole: name what it needs")
            elif below != "__version__" and below.split(".")[0] not in MAY_IMPORT[part]:
                found.append(f"{module}:{line}: {part} may not import {name}")
        elif top in HIDDEN_IN and not any(f"{module}.".startswith(f"{home}.") for home in HIDDEN_IN[top]):
            found.append(f"{module}:{line}: {top} may be imported only in {' and '.join(HIDDEN_IN[top])}")
    return found


def imported_names(tree: ast.Module, module: str) -> Iterator[tuple[int, str]]:
    """Line and full name of every import, wherever it stands: in a function, under TYPE_CHECKING, or by a call."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=source, names=names, level=level):
                origin = [*module.split(".")[:-level], *([source] if source else [])] if level else [source or ""]
                yield from ((node.lineno, ".".join([*origin, alias.name])) for alias in names)
            case ast.Call(
                func=ast.Name(id=called) | ast.Attribute(attr=called), args=[ast.Constant(value=str(name)), *_]
            ):
                if called in {"import_module", "__import__"}:
                    yield node.lineno, name
            case _:
                pass


def long_functions(source: str, module: str) -> list[str]:
    functions = (
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    lengths = ((node, (node.end_lineno or node.lineno) - node.lineno + 1) for node in functions)
    return [f"{module}:{node.lineno}: {node.name} has {n} lines" for node, n in lengths if n > MAX_FUNCTION_LINES]


def modules() -> dict[str, str]:
    """Source of every module under src, by its full name."""
    files = sorted((ROOT / "src" / "reelmill").rglob("*.py"))
    return {".".join(file.relative_to(ROOT / "src").with_suffix("").parts): file.read_text("utf-8") for file in files}


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("reelmill.domain.job", "from reelmill.store import queries"),
        ("reelmill.domain.job", "from reelmill.clock import Clock"),
        ("reelmill.store.claim", "from reelmill import bus"),
        ("reelmill.store.claim", "from reelmill import Anything"),
        ("reelmill.store.claim", "from reelmill import *"),
        ("reelmill.store.claim", "import reelmill"),
        ("reelmill.bus.nats", "import reelmill.master.api as api"),
        ("reelmill.master.api", "from ..worker.agent import Agent"),
        ("reelmill.master.__init__", "from ..launcher import plan"),
        ("reelmill.worker.agent", "def late():\n    from reelmill.store import jobs"),
        ("reelmill.worker.agent", "if TYPE_CHECKING:\n    from reelmill.master.api import App"),
        ("reelmill.worker.agent", "import importlib\nimportlib.import_module('reelmill.master')"),
        ("reelmill.launcher.submit", "from .. import store"),
        ("reelmill.launcher.submit", "from reelmill.cli.main import run"),
        ("reelmill.errors", "from reelmill.domain import job"),
        ("reelmill.__init__", "from reelmill.errors import ReelmillError"),
        ("reelmill.toolbox", "import os"),
        ("reelmill.worker.probe", "import av"),
        ("reelmill.worker.probe", "def late():\n    import av.container"),
        ("reelmill.worker.probe_process_pool", "import av"),
        ("reelmill.master.api", "from sqlalchemy import text"),
        ("reelmill.cli.main", "import alembic.config"),
        ("reelmill.cli.up", "import uvicorn"),
        ("reelmill.worker.http", "from litestar import Litestar"),
        ("reelmill.launcher.report", "import typer"),
        ("reelmill.master.api", "import httpx2"),
        ("reelmill.media.publish", "from reelmill.worker.agent import Worker"),
    ],
)
def test_a_forbidden_import_is_found(module: str, source: str) -> None:
    """The check itself can fail: each of these must be caught, once."""
    assert len(violations(source, module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("reelmill.domain.job", "import msgspec\nfrom reelmill.errors import Conflict\nfrom .failure import Failure"),
        ("reelmill.store.__init__", "from .claim import claim\nfrom ..domain.job import Job"),
        ("reelmill.worker.probe_process", "import av"),
        (
            "reelmill.worker.agent",
            "from reelmill import bus, __version__\nimport average",
        ),
        ("reelmill.launcher.submit", "import httpx2\nfrom reelmill.domain.scenario import Scenario"),
        ("reelmill.cli.up", "import typer\nfrom reelmill.master import app\nfrom reelmill.worker import agent"),
        ("reelmill.logs", "from reelmill.settings import Settings"),
        ("reelmill.__main__", "from reelmill.cli.main import run"),
    ],
)
def test_an_allowed_import_passes(module: str, source: str) -> None:
    assert violations(source, module) == []


def test_every_module_keeps_to_its_layer() -> None:
    """Imports go one way: domain below store and bus, those below master and worker, cli above all."""
    sources = modules()
    assert "reelmill.errors" in sources
    assert [line for module, source in sources.items() for line in violations(source, module)] == []


def test_no_function_is_long() -> None:
    """A function over 60 lines does more than its name says."""
    assert [line for module, source in modules().items() for line in long_functions(source, module)] == []


def test_a_long_function_is_found() -> None:
    body = "    pass\n"
    assert long_functions("def short():\n" + body * 59, "m") == []
    assert long_functions("class A:\n  async def long(self):\n" + body * 60, "m") == ["m:2: long has 61 lines"]


def test_no_file_is_long() -> None:
    """A file over 420 lines holds more than one noun."""
    files = [file for folder in ("src", "tests") for file in (ROOT / folder).rglob("*") if file.is_file()]
    texts = [file for file in files if "__pycache__" not in file.parts]
    lengths = {str(file.relative_to(ROOT)): len(file.read_bytes().splitlines()) for file in texts}
    assert {name: n for name, n in lengths.items() if n > MAX_FILE_LINES} == {}


def test_no_module_is_a_bucket() -> None:
    """Files are named for a concept; a bucket takes anything."""
    files = [file for folder in ("src", "tests") for file in (ROOT / folder).rglob("*.py")]
    assert [file for file in files if BUCKETS & set(file.relative_to(ROOT).with_suffix("").parts)] == []


def test_the_root_holds_only_what_a_newcomer_needs() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {name.split("/")[0] for name in listed.split("\0") if name} - FOLDERS_AT_ROOT - FILES_AT_ROOT == set()
