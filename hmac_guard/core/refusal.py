"""The fixed bytes of each answer. No byte of them comes from a request or a tenant (threats T101 to T104)."""

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.verdict import Reason

PROBLEM_JSON = "application/problem+json"

#: What a `refusal` function may give: the body, or the body and its media type.
RefusalBody = bytes | tuple[bytes, str]


class Refusal(NamedTuple):
    """One answer, ready to be sent.

    The status is there also as a number and as WSGI's line, the headers also as lower-case bytes. The client's code and
    the message are those of the default body.
    """

    status: HTTPStatus
    headers: tuple[tuple[str, str], ...]
    raw_headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    code: int
    line: str
    client_code: str
    message: str

    def body_for(self, method: str | None) -> bytes:
        """Return the body of the answer to a request with this method. An answer to HEAD has none (RFC 9110, 9.3.2)."""
        return b"" if method == "HEAD" else self.body

    def document(self) -> Any:
        """Return the JSON document in the body, or the text of a body that is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return self.body.decode("utf-8", "replace")


class _Answer(NamedTuple):
    code: str
    status: HTTPStatus
    message: str
    header: tuple[str, str] | None = None


_CHALLENGE = ("WWW-Authenticate", 'HMAC realm="hmac_guard"')
_UNSIGNED = _Answer("missing_signature", HTTPStatus.UNAUTHORIZED, "The request is not signed.", _CHALLENGE)
_FORGED = _Answer("invalid_signature", HTTPStatus.UNAUTHORIZED, "The signature does not match the request.", _CHALLENGE)

_ANSWERS = {
    Reason.MISSING_ID: _UNSIGNED,
    Reason.MISSING_SIGNATURE: _UNSIGNED,
    **dict.fromkeys(
        (
            Reason.MALFORMED,
            Reason.DUPLICATE,
            Reason.CONFLICT,
            Reason.AMBIGUOUS,
            Reason.UNKNOWN_KEY,
            Reason.INVALID_SIGNATURE,
        ),
        _FORGED,
    ),
    Reason.EXPIRED: _Answer("expired", HTTPStatus.UNAUTHORIZED, "The signature has expired.", _CHALLENGE),
    Reason.NOT_YET_VALID: _Answer(
        "not_yet_valid", HTTPStatus.UNAUTHORIZED, "The signature is not valid yet, or for too long.", _CHALLENGE
    ),
    Reason.REPLAYED: _Answer("replayed", HTTPStatus.UNAUTHORIZED, "The signature was used before.", _CHALLENGE),
    Reason.BAD_FRAMING: _Answer("bad_request", HTTPStatus.BAD_REQUEST, "The request body is not framed correctly."),
    Reason.BODY_TIMEOUT: _Answer(
        "body_timeout", HTTPStatus.REQUEST_TIMEOUT, "The request body did not arrive in time."
    ),
    Reason.BODY_TOO_LARGE: _Answer(
        "body_too_large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The request body is too large to be verified."
    ),
    Reason.UNSUPPORTED_BODY: _Answer(
        "unsupported_body", HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The request body is of a kind that cannot be verified."
    ),
    Reason.KEYS_UNAVAILABLE: _Answer(
        "keys_unavailable",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The request cannot be verified at the moment.",
        ("Retry-After", "5"),
    ),
}


def code_of(reason: Reason) -> str:
    """Return the code that a refused client gets for a reason."""
    return _ANSWERS[reason].code


def make_refusals(
    body_of: Callable[[str, str], RefusalBody] | None, problem_base: str | None = None
) -> Mapping[Reason, Refusal]:
    """Return the answer for each reason.

    Args:
        body_of: Called once with each code and message, for the body; None for the default body.
        problem_base: The `type` of the default body is this, "#" and the code.
    """
    answers = set(_ANSWERS.values())
    made = {answer: _make(answer, body_of, problem_base) for answer in answers}
    return {reason: made[answer] for reason, answer in _ANSWERS.items()}


def _make(answer: _Answer, body_of: Callable[[str, str], RefusalBody] | None, problem_base: str | None) -> Refusal:
    body, media_type = _problem(answer, problem_base), PROBLEM_JSON
    if body_of is not None:
        given = body_of(answer.code, answer.message)
        body, media_type = given if isinstance(given, tuple) and len(given) == 2 else (given, media_type)
        if not isinstance(body, bytes):
            raise ConfigError("refusal: the function must return bytes, or (bytes, media type)")
        if (
            not isinstance(media_type, str)
            or not media_type.isascii()
            or not media_type.isprintable()
            or not media_type
        ):
            raise ConfigError("refusal: the media type must be printable ASCII, such as 'application/json'")
    headers = [("Content-Type", media_type), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")]
    headers += [answer.header] if answer.header else []
    raw_headers = tuple((name.lower().encode(), value.encode()) for name, value in headers)
    code, phrase = answer.status.value, answer.status.phrase
    line = f"{code} {phrase}"
    return Refusal(answer.status, tuple(headers), raw_headers, body, code, line, answer.code, answer.message)


def _problem(answer: _Answer, base: str | None) -> bytes:
    # RFC 9457, with the two members that vendors' SDKs read: `error` (Nango) and `message` (SuprSend).
    return json.dumps(
        {
            **({} if base is None else {"type": f"{base}#{answer.code}"}),
            "title": answer.status.phrase,
            "status": answer.status.value,
            "detail": answer.message,
            "error": {"code": answer.code, "message": answer.message},
            "message": answer.message,
        }
    ).encode()
