"""Every error as a problem document: the status, a stable code, and the field as a dotted path."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from reelmill.domain.request import JobRequest
from reelmill.errors import (
    Conflict,
    InvalidField,
    MasterUnreachable,
    NotFound,
    ReelmillError,
    SettingsError,
    StartupError,
    StoreUnavailable,
)
from reelmill.master.api.problems import describe_error, read_decode_error


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InvalidField("a.b", "is wrong"), 422, "invalid_field"),
        (NotFound("no"), 404, "not_found"),
        (Conflict("no"), 409, "conflict"),
        (Conflict("no", code="wrong_state", status="completed"), 409, "wrong_state"),
        (StoreUnavailable("no"), 503, "store_unavailable"),
        (MasterUnreachable("no"), 503, "master_unreachable"),
        (SettingsError("no"), 400, "settings"),
        (StartupError("no"), 400, "startup"),
    ],
)
def test_each_error_of_ours_has_its_status_and_code(error: ReelmillError, status: int, code: str) -> None:
    """Programs can rely on both."""
    found = describe_error(error)

    assert (status, code, str(error)) == (found.status, found.code, found.detail)
    assert f"urn:reelmill:problem:{code}" == found.type


def test_a_conflict_tells_the_state_of_the_job() -> None:
    """So that a client need not ask again."""
    assert "completed" == describe_error(Conflict("no", status="completed")).job_status


def decode(body: str) -> Any:
    """The problem of this body."""
    try:
        msgspec.json.decode(body, type=JobRequest)
    except msgspec.DecodeError as error:
        return read_decode_error(error)
    raise AssertionError("the body is fine")


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ("{}", "scenario", "is required"),
        ('{"scenario": 1}', "scenario", "scenario: must be text, not a whole number"),
        ('{"scenario": "a", "colour": 1}', "colour", "is not a known field"),
        ('{"scenario": "a", "parametres": {}}', "parametres", "did you mean 'parameters'?"),
        ('{"scenario": "a", "parameters": {"ouput": "b"}}', "parameters.ouput", "did you mean 'output'?"),
        ('{"scenario": "a", "parameters": {"output_mode": "rtpm"}}', "parameters.output_mode", "(one of file, rtmp)"),
        ('{"scenario": "a", "parameters": {"quality": "vmfa"}}', "parameters.quality", "did you mean 'vmaf'?"),
        ('{"scenario": "a", "parameters": {"verify": "al"}}', "parameters.verify", "(one of ends, full)"),
        ('{"scenario": "a", "parameters": {"codec": 1}}', "parameters.codec", "is not a known field"),
        (
            '{"scenario": "a", "parameters": {"duration": "x"}}',
            "parameters.duration",
            "parameters.duration: must be a number or null, not text",
        ),
        ('{"scenario": "a", "parameters": []}', "parameters", "parameters: must be an object, not a list"),
        ('{"scenario": "a", "queue": "lvie"}', "queue", "unknown queue 'lvie'; did you mean 'live'?"),
        ('{"scenario": "a", "queue": "li\'ve"}', "queue", "unknown queue \"li've\"; did you mean 'live'?"),
        (
            '{"scenario": "a", "queue": "Object contains unknown field `x`"}',
            "queue",
            "unknown queue 'Object contains unknown field `x`'",
        ),
        (
            '{"scenario": "a", "queue": "Object missing required field `x` - at `$.y`"}',
            "queue",
            "unknown queue 'Object missing required field `x` - at `$.y`'",
        ),
        ('{"scenario": "a", "object missing": 1}', "object missing", "object missing: is not a known field"),
        ('{"scenario": "a", "priority": "urgent"}', "priority", "unknown priority 'urgent'"),
        ('{"scenario": "a", "engine": "gstremer"}', "engine", "did you mean 'gstreamer'?"),
        ('{"scenario": "a", "labels": {"a": 1}}', "labels[...]", "must be text, not a whole number"),
        ("[]", None, "the request must be an object, not a list"),
        ('"x"', None, "the request must be an object, not text"),
    ],
)
def test_a_wrong_member_is_named(body: str, field: str | None, words: str) -> None:
    """By its dotted path, with what was expected."""
    found = decode(body)

    assert (422, "invalid_field", field) == (found.status, found.code, found.field)
    assert words in found.detail


@pytest.mark.parametrize("body", ["", "{", "nope", '{"scenario": "a"', '{"scenario": NaN}', "\x00"])
def test_what_is_no_json_is_a_400(body: str) -> None:
    """Another thing than a wrong field."""
    assert (400, "malformed_json") == ((found := decode(body)).status, found.code)
