"""``python -m reelmill.cli`` is the `reelmill` command."""

from reelmill.cli.main import run

run()
