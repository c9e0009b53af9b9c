"""`python -m tests.bad_inputs` writes docs/failures.md."""

from __future__ import annotations

from tests.bad_inputs.page import PAGE, render

PAGE.write_text(render())
