"""Breaks of what outputs are held to: chunks and their joins, ladders, quality, decoding, hardware and streams."""

from __future__ import annotations

from tests.breaks.broken import Break

_CHUNKS = ("tests/unit/worker/test_chunks.py",)

OUTPUTS = [
    Break(
        "a piece may have any number of frames",
        "src/reelmill/worker/chunks.py",
        "if piece is None or piece.end is None or info.frames == piece.end - piece.start:",
        "if True:",
        _CHUNKS,
        "test_a_piece_has_the_frames_that_were_planned",
    ),
    Break(
        "a join may have any number of frames",
        "src/reelmill/worker/chunks.py",
        "if info.frames != plan.joining.frames:",
        "if False:",
        _CHUNKS,
        "test_a_join_has_the_frames_of_its_pieces",
    ),
    Break(
        "a piece that went is blamed on the input",
        "src/reelmill/worker/chunks.py",
        "return failure if all(link.exists() for link in links) else _LOST",
        "return failure if True or all(link.exists() for link in links) else _LOST",
        _CHUNKS,
        "test_a_piece_that_went_during_the_join_is_to_blame",
    ),
    Break(
        "pieces stay when nobody needs them",
        "src/reelmill/master/attempt_cleaner.py",
        "            await asyncio.to_thread(remove_chunk_folder, root, name)\n",
        "            pass\n",
        ("tests/integration/farm/test_chunks.py", "-k", "removed"),
        "test_the_chunks_are_removed_when_nobody_needs_them",
    ),
    Break(
        "the segments of a ladder need not begin together",
        "src/reelmill/worker/ladder_output.py",
        "if [round(segment.seconds, 4) for segment in track.playlist.segments] != lengths:",
        "if False:",
        ("tests/integration/worker/test_ladder_encode.py", "-k", "not_whole"),
        "test_a_ladder_that_is_not_whole_is_refused",
    ),
    Break(
        "the least quality is ignored",
        "src/reelmill/worker/attempt.py",
        "judge(quality, parameters.quality_min)",
        "judge(quality, None)",
        ("tests/integration/farm/test_quality.py", "-k", "least_quality"),
        "test_an_output_below_its_least_quality_fails_by_name",
    ),
    Break(
        "an output that does not decode passes",
        "src/reelmill/worker/decode.py",
        "if ended.code == 0:",
        "if True:",
        ("tests/integration/worker/test_decode.py", "-k", "middle"),
        "test_damage_in_the_middle_passes_the_ends_and_not_the_whole",
    ),
    Break(
        "nothing goes on where hardware fails",
        "src/reelmill/worker/fallback.py",
        'return failure.reason not in ("input_error", "user_error") and failure.code not in _NOT_OF_A_DRIVER',
        "return False",
        ("tests/integration/worker/test_hardware.py", "-k", "goes_on"),
        "test_software_goes_on_where_hardware_fails",
    ),
    Break(
        "a full disk is the fault of hardware",
        "src/reelmill/worker/fallback.py",
        " and failure.code not in _NOT_OF_A_DRIVER",
        ' and failure.code not in ("",)',
        ("tests/integration/worker/test_hardware.py", "-k", "full_disk"),
        "test_a_full_disk_is_not_the_encoders_fault",
    ),
    Break(
        "a live job looks for its server for ever",
        "src/reelmill/worker/stream_watch.py",
        "return 0.0 if self._was_accepted or self.is_connected else self._clock() - self._began",
        "return 0.0",
        ("tests/unit/worker/test_stream_watch.py",),
        "test_a_server_that_never_was_there_is_unreachable_and_says_why",
    ),
    Break(
        "a live job takes a lost server for one that it has",
        "src/reelmill/worker/stream_watch.py",
        "        elif _LOST.search(line):\n            self._lose()\n",
        "",
        ("tests/unit/worker/test_stream_watch.py",),
        "test_a_server_that_went_away_and_came_back_is_one_reconnect_and_the_frames_between_are_dropped",
    ),
    Break(
        "a live source that stays away is waited for to the end of the duration",
        "src/reelmill/worker/source_watch.py",
        'return "source" if self._silent_seconds() >= self._patience else None',
        "return None",
        ("tests/unit/worker/test_source_watch.py",),
        "test_a_source_that_stays_away_is_over",
    ),
    Break(
        "a farm that is open to others streams with this machine",
        "src/reelmill/domain/stream_url.py",
        "if self.open_to_others and _is_inside(host):",
        "if False:",
        ("tests/unit/domain/test_stream_url.py",),
        "test_a_farm_that_is_open_to_others_streams_with_nothing_inside_its_network",
    ),
    Break(
        "Ctrl-C is an exception while modules load",
        "src/reelmill/cli/interrupt.py",
        "    signal.signal(signal.SIGINT, _end)\n",
        "",
        ("tests/unit/cli/test_entry.py", "-k", "lost_or_changed"),
        "test_ctrl_c_is_quiet_where_an_exception_would_be_lost_or_changed",
    ),
]
