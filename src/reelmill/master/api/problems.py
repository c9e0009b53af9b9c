"""Errors as RFC 9457 problem documents: every answer that is not a success has the same shape."""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, get_args

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from reelmill.domain.job import ENGINES, PRIORITIES, QUEUES, VerifyDepth
from reelmill.domain.quality import METRICS
from reelmill.domain.request import JobRequest, RequestedParameters
from reelmill.domain.stream import OutputMode
from reelmill.domain.suggestion import unknown_name
from reelmill.domain.wrong_value import read_complaint
from reelmill.errors import Conflict, Forbidden, Full, InvalidField, NotFound, ReelmillError, Unavailable
from reelmill.master.api.answers import ProblemAnswer
from reelmill.media.failed import AttemptFailed

log = structlog.get_logger()

RETRY_AFTER_SECONDS = 2
_STATUS: tuple[tuple[type[ReelmillError], int], ...] = (
    (InvalidField, 422),
    (NotFound, 404),
    (Forbidden, 403),
    (Conflict, 409),
    (Full, 429),
    (Unavailable, 503),
    (ReelmillError, 400),
)
_CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}
_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(?P<name>[^`]*)`")
_MISSING_FIELD = re.compile(r"Object missing required field `(?P<name>[^`]*)`")
_BAD_NAME = re.compile(r"Invalid enum value (?P<quote>['\"])(?P<value>.*)(?P=quote) - at `", re.DOTALL)
_CHOICES: dict[str, Sequence[str]] = {
    "queue": QUEUES,
    "priority": PRIORITIES,
    "engine": ENGINES,
    "output_mode": get_args(OutputMode),
    "quality": METRICS,
    "verify": get_args(VerifyDepth),
}
"""Of each field of a request that is one of several words."""


def problem(status: int, code: str, detail: str, *, field: str | None = None) -> ProblemAnswer:
    """A problem document."""
    title = HTTPStatus(status).phrase
    return ProblemAnswer(
        type=f"urn:reelmill:problem:{code}", title=title, status=status, detail=detail, code=code, field=field
    )


TOO_DEEP = problem(400, "malformed_json", "the body is nested too deeply")


def describe_error(error: ReelmillError) -> ProblemAnswer:
    """The problem document of an error of ours."""
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    field = error.field or None if isinstance(error, InvalidField) else None
    found = problem(status, error.code, str(error), field=field)
    if isinstance(error, Conflict):
        return msgspec.structs.replace(found, job_status=error.status)
    if isinstance(error, Full):
        return msgspec.structs.replace(found, waiting=error.waiting, limit=error.limit)
    return found


def read_decode_error(error: msgspec.DecodeError, whole: str = "the request") -> ProblemAnswer:
    """What is wrong with a body: not JSON (400), or a field that cannot be (422), named by its path.

    ``whole`` is what a client calls that which was decoded.
    """
    if not isinstance(error, msgspec.ValidationError):
        return problem(400, "malformed_json", f"the body is not valid JSON: {error}")
    path, message = read_complaint(str(error))
    if missing := _MISSING_FIELD.match(str(error)):
        path, message = f"{path}.{missing['name']}".lstrip("."), "is required"
    elif unknown := _UNKNOWN_FIELD.match(str(error)):
        known = (RequestedParameters if path.endswith("parameters") else JobRequest).__struct_fields__
        meant = unknown_name("field", unknown["name"], known).partition("; ")[2]  # of jobs, which most bodies are
        path, message = f"{path}.{unknown['name']}".lstrip("."), f"is not a known field{meant and '; ' + meant}"
    elif wrong := _BAD_NAME.match(str(error)):
        name = path.rpartition(".")[2]
        message = unknown_name(name, wrong["value"], _CHOICES.get(name, ()))
    message = message if path else f"{whole} {message}"
    return problem(422, "invalid_field", f"{path}: {message}" if path else message, field=path or None)


def respond(found: ProblemAnswer, retry_after: int | None = None) -> Response[ProblemAnswer]:
    """The HTTP answer for a problem; ``retry_after`` in seconds, where it is known better than usual."""
    headers = {"Retry-After": str(retry_after or RETRY_AFTER_SECONDS)} if found.status in (429, 503) else {}
    return Response(found, status_code=found.status, media_type="application/problem+json", headers=headers)


def _on_error(_request: Request[Any, Any, Any], error: ReelmillError) -> Response[ProblemAnswer]:
    return respond(describe_error(error), error.retry_after if isinstance(error, Full) else None)


def _on_attempt_failed(_request: Request[Any, Any, Any], error: AttemptFailed) -> Response[ProblemAnswer]:
    failure = error.failure
    if error.__cause__ is not None:
        log.warning("media_failed", code=failure.code, cause=repr(error.__cause__))
    status = {"no_space": 507, "output_exists": 409, "input_missing": 404}.get(failure.code, 422)
    found = problem(status, failure.code, failure.message)
    return respond(msgspec.structs.replace(found, failure=failure))


def _on_decode_error(_request: Request[Any, Any, Any], error: msgspec.DecodeError) -> Response[ProblemAnswer]:
    return respond(read_decode_error(error))


def _on_deep_body(_request: Request[Any, Any, Any], _error: RecursionError) -> Response[ProblemAnswer]:
    return respond(TOO_DEEP)


def _on_http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[ProblemAnswer]:
    if isinstance(error.__cause__, msgspec.DecodeError):
        return respond(read_decode_error(error.__cause__))
    detail = error.detail
    field = None
    status = error.status_code
    if isinstance(error, ValidationException) and isinstance(error.extra, list) and error.extra:
        first: Any = error.extra[0]
        field, detail = str(first.get("key", "")), read_complaint(str(first.get("message", detail))).message
        status = 422
    if status == 413:
        detail = "the body is larger than 8 MB; send at most 10,000 jobs at once"
    if status == 404:
        detail = f"there is nothing at {request.url.path}; /openapi.json lists what there is"
    code = "invalid_field" if status == 422 else _CODES.get(status, "http_error")
    return respond(problem(status, code, f"{field}: {detail}" if field else detail, field=field or None))


def _on_surprise(request: Request[Any, Any, Any], error: Exception) -> Response[ProblemAnswer]:
    log.error("request_failed", method=request.method, path=request.url.path, exc_info=error)
    return respond(problem(500, "internal_error", "reelmill failed here; the master's log has the details"))


EXCEPTION_HANDLERS: dict[int | type[Exception], Any] = {
    ReelmillError: _on_error,
    AttemptFailed: _on_attempt_failed,
    msgspec.DecodeError: _on_decode_error,
    RecursionError: _on_deep_body,
    HTTPException: _on_http_error,
    Exception: _on_surprise,
}
