"""Formats an explanation: the sentences about the cause, and the whole report as text or JSON."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from hmac_guard.core.encodings import ENCODING_NAMES
from hmac_guard.core.verdict import Reason
from hmac_guard.explain.explanation import MAX_MESSAGE_LENGTH, Explanation
from hmac_guard.explain.printable import counted, excerpt, printable
from hmac_guard.explain.reading import Reading
from hmac_guard.explain.search import Found

_WIDTH = 78
_MAX_BYTES = 512
_MAX_VALUE_LENGTH = 2048


def sentences(explanation: Explanation) -> list[str]:
    """Return whether the request is verified, and if not, the cause and the fix.

    Args:
        explanation: What `explain` or `explain_captured` returns.

    Returns:
        Sentences in printable ASCII. They contain no signature.
    """
    return list(map(printable, _sentences(explanation)))


def _sentences(explanation: Explanation) -> list[str]:
    if explanation.verified:
        sent_keys = [_problem(reading) for reading in explanation.ids if reading.is_key]
        but = [*sent_keys, *_without_tenant(explanation), *explanation.dropped]
        return ["Verified: the signature is the right one.", *but]
    if explanation.reason is Reason.PREFLIGHT:
        return [
            "Not checked: a browser cannot sign a CORS preflight, so the guard does not check it. Explain the request "
            "after it."
        ]
    if explanation.reason is Reason.BODY_TOO_LARGE:
        return [
            "Not verified: body_too_large. The body is larger than the 262,144 bytes that a guard reads by default. "
            "Send a smaller one, or give the guard a larger max_body."
        ]
    problems = list(map(_problem, explanation.problems))
    if explanation.reason is Reason.MISSING_ID and explanation.scheme.signs_body_alone:
        problems.append("The body is empty, and nothing else is signed. Send the body that was signed.")
    problems += [_cause("Cause", [mistake]) for mistake in explanation.sending]
    lead = "Not verified." if explanation.names_another_tenant else f"Not verified: {explanation.reason.value}."
    return [lead, *problems, *_causes(explanation, bool(problems)), *explanation.dropped]


def _problem(reading: Reading) -> str:
    return f"{reading.name}: {reading.problem}."


def _without_tenant(explanation: Explanation) -> Iterator[str]:
    tenant = explanation.tenant
    if tenant is not None and tenant.value is None:
        yield f"A guard with keys by tenant still refuses it: {tenant.problem or 'the request names no tenant'}."


def _causes(explanation: Explanation, besides: bool) -> Iterator[str]:
    found = explanation.found
    if found is None:
        return
    if found.right:
        if explanation.absent:
            absent = " and ".join(explanation.absent)
            yield f"The signature is right for a message without {absent}. Sign the whole message."
        else:
            yield "Except for that, the signature is right."
    elif found.mistakes:
        lead = "Another cause" if besides else "Cause"
        yield _cause(f"{lead}{', two mistakes together' if len(found.mistakes) > 1 else ''}", found.mistakes)
        if found.key:
            yield f"The signer uses the key {found.key}."
    else:
        if len(explanation.message) > MAX_MESSAGE_LENGTH:
            yield f"Mistakes are searched only where at most {MAX_MESSAGE_LENGTH:,} bytes are signed."
        else:
            tried = "alone or with another one" if found.is_complete else "but the time was too short to try all pairs"
            yield f"No known mistake explains the signature, {tried}."
        yield "Compare the bytes to sign with the bytes that the signer signs, and check which key it uses."


def _cause(lead: str, mistakes: Sequence[Found]) -> str:
    says = ", and ".join(mistake.description for mistake in mistakes)
    return f"{lead}: {says}. Fix: {'; '.join(dict.fromkeys(mistake.fix for mistake in mistakes))}."


def as_text(explanation: Explanation, notes: Sequence[str] = (), *, show_signature: bool = False) -> str:
    """Return the report as text.

    Args:
        explanation: The explanation.
        notes: Remarks about the copy of the request, as clauses.
        show_signature: Whether the report has the full signatures. The right signature is a credential.

    Returns:
        Lines of printable ASCII, at most 78 columns wide.
    """
    return "\n".join(_lines(explanation, notes, show_signature))


def _lines(explanation: Explanation, notes: Sequence[str], show_signature: bool) -> Iterator[str]:
    scheme = explanation.scheme
    yield from _wrapped(
        f"The scheme {scheme.name} signs {scheme.message!a} with HMAC-{scheme.algorithm.upper()}, written as "
        f"{ENCODING_NAMES[scheme.encoding]}{f' after {scheme.prefix!a}' if scheme.prefix else ''}."
    )
    for note in notes:
        yield from _wrapped(f"Note: {note}.")
    yield from ("", "1. What the guard reads in the request")
    for reading in (*explanation.ids, explanation.tenant, explanation.signature):
        if reading is not None:
            yield from _reading_lines(reading, hidden=_is_hidden(explanation, reading, show_signature))
    yield from ("", f"2. The bytes to sign: {counted(len(explanation.message), 'byte')}")
    yield from _byte_lines(explanation.message)
    yield from ("", "3. The decoded signature")
    decoded = explanation.decoded
    if explanation.has_key:
        yield from _wrapped("it is a key, and is not shown", "   ")
    else:
        yield from _wrapped(decoded.describe(whole=show_signature) if decoded else "there is no signature", "   ")
    if show_signature:
        yield from _wrapped(f"the right signature is {explanation.right}", "   ")
    yield from ("", "4. The result")
    for sentence in sentences(explanation):
        yield from _wrapped(sentence, "   ")


def _is_hidden(explanation: Explanation, reading: Reading, show_signature: bool) -> bool:
    """Return whether a report must not show what was read: a signature, or a key that was sent as one."""
    if reading is explanation.signature:
        return explanation.has_key or not show_signature
    return reading.name == explanation.signature_sent_as and not show_signature


def _reading_lines(reading: Reading, hidden: bool) -> Iterator[str]:
    if reading.value is None:
        value = "a key" if reading.is_key else "nothing"
    elif hidden:
        value = counted(len(reading.value), "character")
    else:
        value = excerpt(reading.value, _MAX_VALUE_LENGTH)
    yield from _wrapped(f"{reading.name}: {value}", "   ")
    for place in reading.places:
        yield from _wrapped(f"in {place}", "      ")


def _byte_lines(message: bytes) -> Iterator[str]:
    shown = message[:_MAX_BYTES]
    # Not wrapped at spaces, because every space is part of the message.
    escaped = ascii(shown.decode("utf-8", "backslashreplace"))
    yield from ("   " + escaped[at : at + 72] for at in range(0, len(escaped), 72))
    yield from ("   " + shown[at : at + 16].hex(" ") for at in range(0, len(shown), 16))
    if len(message) > len(shown):
        yield f"   ... and {len(message) - len(shown)} more bytes"


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        printable(text), _WIDTH, initial_indent=indent, subsequent_indent=indent + "  ", break_on_hyphens=False
    )


def as_json(explanation: Explanation, notes: Sequence[str] = (), *, show_signature: bool = False) -> dict[str, Any]:
    """Return the report as a dict for `json.dumps`.

    Args:
        explanation: The explanation.
        notes: Remarks about the copy of the request, as clauses.
        show_signature: Whether the report has the signatures. The right signature is a credential.

    Returns:
        The report. Each mistake has a stable "name", a "description" and a "fix". The "key" is the active key that the
        signer used, as the answer names it, or None if the answer names none.
    """
    found, decoded = explanation.found, explanation.decoded
    signature = _reading_document(
        explanation.signature, with_value=not _is_hidden(explanation, explanation.signature, show_signature)
    )
    if decoded is not None:
        signature |= {"encoding": decoded.encoding, "bytes": len(decoded.digest)}
    return {
        "verified": explanation.verified,
        "reason": explanation.reason.value,
        "scheme": explanation.scheme.name,
        "ids": [
            _reading_document(reading, with_value=not _is_hidden(explanation, reading, show_signature))
            for reading in explanation.ids
        ],
        "tenant": _reading_document(explanation.tenant) if explanation.tenant else None,
        "signature": signature | ({"right": explanation.right} if show_signature else {}),
        "message": {
            "text": explanation.message.decode("utf-8", "backslashreplace"),
            "hex": explanation.message.hex(),
        },
        "mistakes": [mistake._asdict() for mistake in (*explanation.sending, *(found.mistakes if found else ()))],
        "key": (found.key or None) if found else None,
        "signature_is_right": found is not None and found.right,
        "all_tried": found is None or found.is_complete,
        "notes": list(notes),
        "answer": sentences(explanation),
    }


def _reading_document(reading: Reading, *, with_value: bool = True) -> dict[str, Any]:
    document = {"name": reading.name, "places": list(reading.places), "problem": reading.problem or None}
    return document | ({"value": reading.value} if with_value else {})
