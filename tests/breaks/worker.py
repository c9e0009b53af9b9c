"""The breaks of a worker's guards: what it says of itself, and what its engines may take."""

from __future__ import annotations

from tests.breaks.broken import Break

WORKER = [
    Break(
        "a job waits for a node in trouble",
        "src/reelmill/store/nodes.py",
        "        nodes.c.trouble.is_(None),\n",
        "",
        ("tests/contract/test_store_claim_contract.py", "-k", "sqlite-memory"),
        "test_nothing_is_kept_for_a_node_in_trouble",
    ),
    Break(
        "a node keeps a trouble that is over",
        "src/reelmill/store/nodes.py",
        "left_at=None, trouble=node.trouble)",
        "left_at=None)",
        ("tests/contract/test_store_explain_contract.py", "-k", "sqlite-memory"),
        "test_a_node_in_trouble_says_why_it_takes_no_jobs",
    ),
]
