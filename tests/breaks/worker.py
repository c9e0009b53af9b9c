"""The breaks of a worker's guards: what it says of itself, and what its engines may take."""

from __future__ import annotations

from tests.breaks.broken import Break


def _full_disk(name: str, old: str, new: str, caught_by: str) -> Break:
    """A break of what a worker does while its media disk is full."""
    return Break(
        name, "src/reelmill/worker/agent.py", old, new, ("tests/integration/farm/test_full_media_disk.py",), caught_by
    )


def _confinement(name: str, old: str, new: str, caught_by: str) -> Break:
    """A break of the limits of an engine."""
    suite = "tests/integration/worker/test_confinement.py"
    return Break(name, "src/reelmill/worker/confinement.py", old, new, (suite,), caught_by)


PLAN = ("tests/unit/worker/test_plan.py",)

WORKER = [
    Break(
        "an input may be as long as it says",
        "src/reelmill/worker/engines/engine.py",
        "if duration > MAX_SECONDS:",
        "if duration < 0:",
        PLAN,
        "test_an_input_that_claims_more_than_a_day_is_refused_unless_cut",
    ),
    Break(
        "what goes on beyond its length is encoded on and on",
        "src/reelmill/worker/engines/engine.py",
        "plan.duration * _OVERRUN + _OVERRUN_SECONDS)",
        "plan.duration * 1e6)",
        PLAN,
        "test_an_input_that_goes_on_beyond_its_length_is_cut_off",
    ),
    Break(
        "a claimed picture of ten minutes excuses any length",
        "src/reelmill/worker/verify.py",
        "min(1 / plan.source.fps, plan.duration)",
        "1 / plan.source.fps",
        ("tests/unit/worker/test_verify.py",),
        "test_a_picture_cannot_stay_longer_than_its_film",
    ),
    Break(
        "a broken header is blamed on the disk",
        "src/reelmill/worker/probe_process.py",
        "if _can_be_read(path):",
        "if not path:",
        ("tests/integration/worker/test_probe.py",),
        "test_what_libav_calls_an_error_of_the_disk_may_be_the_file",
    ),
    Break(
        "a job waits for a node in trouble",
        "src/reelmill/store/nodes.py",
        "    nodes.c.trouble.is_(None),\n",
        "",
        ("tests/contract/test_store_claim_contract.py", "-k", "sqlite-memory"),
        "test_nothing_is_kept_for_a_node_in_trouble",
    ),
    Break(
        "a node keeps a trouble that is over",
        "src/reelmill/store/nodes.py",
        " trouble = new.why,",
        "",
        ("tests/contract/test_store_explain_contract.py", "-k", "sqlite-memory"),
        "test_a_node_in_trouble_says_why_it_takes_no_jobs",
    ),
    Break(
        "a worker takes more jobs than it may open files for",
        "src/reelmill/worker/agent.py",
        "        if shortage is not None:\n            self._free",
        "        if False:\n            self._free",
        ("tests/e2e/test_small_machine.py",),
        "test_few_files_little_memory_and_a_full_temporary_folder",
    ),
    Break(
        "a probe asks for more than its worker may have",
        "src/reelmill/worker/probe_process.py",
        "min(most, hard)",
        "most",
        ("tests/e2e/test_small_machine.py",),
        "test_few_files_little_memory_and_a_full_temporary_folder",
    ),
    Break(
        "a program that PATH lacks is not found",
        "src/reelmill/worker/machine.py",
        " or shutil.which(name, path=_USUAL_PLACES)",
        "",
        ("tests/unit/worker/test_machine.py",),
        "test_a_program_is_found_without_path",
    ),
    Break(
        "a draining worker does not renew its leases",
        "src/reelmill/worker/agent.py",
        "        self._give_back_paused()\n        while self._held:",
        "        await self._beats.stop()\n        while self._held:",
        ("tests/integration/farm/test_stopping_and_losing.py",),
        "test_draining_renews_its_leases",
    ),
    _confinement(
        "an engine has no limit of memory",
        '[ "$2" = - ] || ulimit -d "$2"',
        "true",
        "test_an_engine_that_takes_too_much_fails_alone",
    ),
    _confinement(
        "the kernel may end the worker for what an engine took",
        "echo {_OOM_SCORE} >/proc/self/oom_score_adj",
        "true",
        "test_an_engine_has_its_limits",
    ),
    _confinement(
        "engines stand beside the worker, not behind it",
        '[str(nice), "-n", str(self.nice)] if self.nice and nice is not None else []',
        "[]",
        "test_an_engine_has_its_limits",
    ),
    Break(
        "an attempt runs its engine without its limits",
        "src/reelmill/worker/attempt.py",
        "            confinement=self._workshop.engine_limits.of(self.grant.units),\n",
        "",
        ("tests/integration/farm/test_engine_memory.py",),
        "test_an_engine_out_of_memory_fails_by_name_and_its_worker_goes_on",
    ),
    Break(
        "a job waits until the output of the one before was looked at",
        "src/reelmill/worker/attempt.py",
        "if (is_last or not is_hardware(encoder)) and self._needs_no_more_room:",
        "if is_last and self._needs_no_more_room:",
        ("tests/integration/worker/test_attempt.py",),
        "test_the_next_job_need_not_wait_for_the_look_at_an_output",
    ),
    Break(
        "a job that is dropped before its first step keeps its room",
        "src/reelmill/worker/agent.py",
        "        self._held[key].attempt.free_room()",
        "        pass",
        ("tests/integration/farm/test_stopping_and_losing.py",),
        "test_a_job_that_is_dropped_before_its_first_step_gives_its_room_back",
    ),
    _full_disk(
        "a worker whose disk is full asks for jobs",
        "        if await self._health.recent() is not None:",
        "        if await self._health.recent() is False:",
        "test_a_disk_that_fills_up_costs_a_job_one_try",
    ),
    _full_disk(
        "a worker does not look at its disk when a job ends",
        "            self._health.doubt()",
        "            pass",
        "test_a_job_that_ends_makes_its_worker_look_at_the_disk",
    ),
    _full_disk(
        "a claim stays open although the disk is full",
        "            await ROOM.tell(self._bus, Room(self.node.id, 0))\n\n    def _begin",
        "            pass\n\n    def _begin",
        "test_a_claim_that_is_open_is_taken_back",
    ),
    _full_disk(
        "a worker does not go on when its disk has room again",
        'takes_jobs_again")\n            self._room.set()',
        'takes_jobs_again")',
        "test_no_job_is_taken_while_the_media_disk_is_full",
    ),
]
