"""Mistakes with the message as a whole: the right one, in another form or another charset."""

import base64
import codecs
import hashlib
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from hmac_guard.explain.mistakes.shape import of_charset, of_message, utf8


def _charset(name: str, errors: str = "strict", mark: bytes = b"") -> Callable[[str], bytes]:
    def encode(text: str) -> bytes:
        try:
            return mark + text.encode(name, errors)
        except UnicodeEncodeError:
            return utf8(text)

    return encode


MESSAGE_MISTAKES = (
    of_message(
        "message_newline",
        "the message was signed with a newline at its end",
        "sign without it: printf '%s' for echo, and a strip() behind whatever reads a line",
        lambda text: text + "\n",
        lambda text: text + "\r\n",
    ),
    of_message(
        "message_spaces",
        "the message was signed with white space at an end",
        "sign the message alone",
        lambda text: text + " ",
        lambda text: " " + text,
        lambda text: f" {text} ",
        lambda text: text + "\0",
    ),
    of_message(
        "message_json_quoted",
        "the message was signed as JSON, with quotes around it",
        "sign the text itself, not its JSON",
        json.dumps,
        lambda text: json.dumps(text, ensure_ascii=False),
        lambda text: f"'{text}'",
    ),
    of_message(
        "message_url_encoded",
        "the message was signed URL-encoded",
        "sign the text itself, and percent-encode each id once when it is sent",
        lambda text: quote(text, safe=""),
        quote_plus,
        quote,
        lambda text: quote(text, safe="-_.!~*'();/?:@&=+$,#"),
    ),
    of_message(
        "message_url_decoded",
        "the message was signed decoded once more than it was sent",
        "percent-encode each id once when it is sent",
        unquote,
        unquote_plus,
    ),
    of_message(
        "message_case",
        "the message was signed in another case",
        "sign the message as it is",
        str.lower,
        str.upper,
    ),
    of_message(
        "message_hashed",
        "the message was hashed or encoded before it was signed",
        "sign the text itself",
        lambda text: hashlib.sha256(utf8(text)).hexdigest(),
        lambda text: hashlib.sha512(utf8(text)).hexdigest(),
        lambda text: hashlib.sha1(utf8(text), usedforsecurity=False).hexdigest(),
        lambda text: hashlib.md5(utf8(text), usedforsecurity=False).hexdigest(),
        lambda text: base64.b64encode(utf8(text)).decode(),
        lambda text: base64.urlsafe_b64encode(utf8(text)).decode().rstrip("="),
        lambda text: utf8(text).hex(),
    ),
    of_charset(
        "message_charset",
        "the message became bytes in another charset than UTF-8",
        "encode it as UTF-8; in Java say getBytes(StandardCharsets.UTF_8)",
        _charset("latin-1"),
        _charset("cp1252"),
        _charset("ascii", "replace"),
        _charset("ascii", "ignore"),
        _charset("utf-16-le"),
        _charset("utf-16-be"),
        _charset("utf-16-le", mark=codecs.BOM_UTF16_LE),
        _charset("utf-16-be", mark=codecs.BOM_UTF16_BE),
        _charset("utf-8", mark=codecs.BOM_UTF8),
        lambda text: utf8(text).decode("latin-1").encode(),
    ),
)
