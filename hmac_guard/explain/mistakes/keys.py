"""Mistakes in the key: another key, or the right key in another form."""

import base64
import binascii
import codecs
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import quote, quote_plus, unquote, unquote_plus
from uuid import UUID

from hmac_guard.explain.mistakes.shape import Attempt, Mistake, Part, Variants, of_key

_UNSET = ("", "undefined", "null", "None", "nil", "false", "0", "NaN", "[object Object]", "secret", "changeme")
_UNSET_MISTAKE = (
    "key_unset",
    "{what} was used instead of the key: the setting of the signer is missing",
    "set the key for the signer, and raise an error if it is missing",
)


def _textual(function: Callable[[str], str | bytes | None]) -> Callable[[bytes], bytes | None]:
    """Return a function that changes the text of a key, and returns None if the key is not text."""

    def change(key: bytes) -> bytes | None:
        try:
            changed = function(key.decode())
            return changed.encode() if isinstance(changed, str) else changed
        except (ValueError, binascii.Error):
            return None

    return change


def _lenient_base64(text: str) -> bytes:
    """Decode base64 like Node: both alphabets, other characters are skipped, padding is optional."""
    digits = re.sub(r"[^A-Za-z0-9+/]", "", text.translate({ord("-"): "+", ord("_"): "/"}))
    digits = digits[: len(digits) - (len(digits) % 4 == 1)]
    return base64.b64decode(digits + "=" * (-len(digits) % 4))


def _without_prefix(text: str) -> str | None:
    match = re.match(r"[A-Za-z0-9]{1,12}(?:_(?:live|test))?[_.:-]", text)
    return text[match.end() :] if match else None


def _decoded_without_prefix(text: str) -> bytes | None:
    bare = _without_prefix(text)
    return None if bare is None else _lenient_base64(bare)


_UUID = re.compile("[0-9A-Fa-f]{8}-?(?:[0-9A-Fa-f]{4}-?){3}[0-9A-Fa-f]{12}")
_URL_SAFE, _STANDARD = bytes.maketrans(b"+/", b"-_"), bytes.maketrans(b"-_", b"+/")


def _translated(alphabet: bytes, pad: Callable[[bytes], bytes]) -> Callable[[bytes], bytes | None]:
    """Return a function that writes a base64 key in another alphabet, and returns None if it is the same text."""

    def change(key: bytes) -> bytes | None:
        translated = key.translate(alphabet)
        return None if translated == key else pad(translated)

    return change


def _hashes(key: bytes) -> Iterator[bytes]:
    for algorithm in ("sha256", "md5", "sha1", "sha512"):
        digest = hashlib.new(algorithm, key).digest()
        yield digest
        yield digest.hex().encode()


def _hash_number(number: int) -> Callable[[bytes], bytes]:
    return lambda key: list(_hashes(key))[number]


KEY_MISTAKES = (
    of_key(
        "key_newline",
        "the key was used with a newline at its end",
        "strip the key where the signer reads it; a file, or echo, adds the newline",
        lambda key: key + b"\n",
        lambda key: key + b"\r\n",
        lambda key: key + b"\r",
        lambda key: b"\n" + key,
    ),
    of_key(
        "key_spaces",
        "the key was used with white space at its start or end",
        "strip the key where the signer reads it",
        lambda key: key + b" ",
        lambda key: b" " + key,
        lambda key: b" " + key + b" ",
        lambda key: key + b"\t",
        lambda key: key + b"\0",
    ),
    of_key(
        "key_unstripped_here",
        "the guard's own key has white space at its start or end, the signer's key does not",
        "strip the key before the guard gets it",
        bytes.strip,
    ),
    of_key(
        "key_bom",
        "the key was used with a byte order mark (BOM) before it",
        "save the signer's file or setting as UTF-8 without a BOM",
        lambda key: codecs.BOM_UTF8 + key,
        lambda key: codecs.BOM_UTF8.decode("latin-1").encode() + key,
    ),
    of_key(
        "key_bom_here",
        "the guard's own key has a byte order mark (BOM) before it, the signer's key does not",
        "save the guard's file or setting as UTF-8 without a BOM",
        lambda key: key.removeprefix(codecs.BOM_UTF8),
    ),
    of_key(
        "key_newline_written",
        "the key was used with a literal \\n at its end: a backslash and a letter",
        "remove the \\n from the signer's configuration, which does not change it to a newline",
        lambda key: key + rb"\n",
        lambda key: key + rb"\r\n",
    ),
    of_key(
        "key_newline_written_here",
        "the guard's own key has a literal \\n at its end: a backslash and a letter; the signer's key does not",
        "remove the \\n from the key of the guard",
        lambda key: key.removesuffix(rb"\n").removesuffix(rb"\r"),
    ),
    of_key(
        "key_quoted",
        "the key was used with quotes around it",
        "remove the quotes from the signer's configuration, or parse it with a library that removes them",
        lambda key: b'"' + key + b'"',
        lambda key: b"'" + key + b"'",
        lambda key: b"`" + key + b"`",
        _textual(json.dumps),
        _textual(lambda text: f"b'{text}'"),
    ),
    of_key(
        "key_unquoted",
        "the guard's own key has quotes around it, the signer's key does not",
        "remove the quotes from the key of the guard",
        lambda key: key[1:-1] if len(key) > 2 and key[:1] == key[-1:] and key[:1] in b"\"'`" else None,
    ),
    of_key(
        "key_hex_decoded",
        "the key was hex-decoded before use",
        "use the text of the key unchanged, or give the guard Key.from_hex(...) if the key has to be decoded",
        _textual(binascii.unhexlify),
        lambda key: bytes.fromhex(match[0].decode()) if (match := re.match(rb"(?:[0-9A-Fa-f]{2})+", key)) else None,
    ),
    of_key(
        "key_base64_decoded",
        "the key was base64-decoded before use",
        "use the text of the key unchanged, or if the key has to be decoded, give the guard Key.from_base64(...), and "
        "Key.from_whsec(...) for a text that begins with 'whsec_'",
        _textual(_lenient_base64),
        _textual(lambda text: base64.b64decode(text + "===")),
        _textual(_decoded_without_prefix),
    ),
    of_key(
        "key_hex_encoded",
        "the key's hex text was used where the guard uses the bytes",
        "decode the hex before use, or give the guard the key as text",
        lambda key: key.hex().encode(),
        lambda key: key.hex().upper().encode(),
    ),
    of_key(
        "key_base64_encoded",
        "the key's base64 text was used where the guard uses the bytes",
        "decode the base64 before use, without 'whsec_'; only if the scheme uses the text itself as the key, give the "
        "guard the key as text",
        base64.b64encode,
        base64.urlsafe_b64encode,
        lambda key: base64.b64encode(key).rstrip(b"="),
        lambda key: base64.urlsafe_b64encode(key).rstrip(b"="),
        lambda key: b"whsec_" + base64.b64encode(key),
        lambda key: b"whsec_" + base64.b64encode(key).rstrip(b"="),
    ),
    of_key(
        "key_uuid",
        "the key was used as another spelling of the same UUID",
        "use the text of the key unchanged",
        _textual(lambda text: text.replace("-", "") if _UUID.fullmatch(text) else None),
        _textual(lambda text: str(UUID(text)) if _UUID.fullmatch(text) else None),
        _textual(lambda text: "{" + text + "}" if _UUID.fullmatch(text) else None),
    ),
    of_key(
        "key_base64_alphabet",
        "the key was used in the other alphabet of base64: with '-' and '_' for '+' and '/', or the reverse",
        "use the text of the key unchanged",
        _translated(_URL_SAFE, bytes),
        _translated(_URL_SAFE, lambda key: key.rstrip(b"=")),
        _translated(_STANDARD, bytes),
        _translated(_STANDARD, lambda key: key + b"=" * (-len(key) % 4)),
    ),
    of_key(
        "key_case",
        "the key was used in another case",
        "do not change the case of the key; it is case-sensitive",
        bytes.lower,
        bytes.upper,
    ),
    of_key(
        "key_without_prefix",
        "the key was used without its prefix",
        "use the whole key, with the text before the '_'",
        _textual(_without_prefix),
    ),
    of_key(
        "key_cut",
        "only a part of the key was used",
        "copy the whole key; the first or last characters are missing",
        lambda key: key[:-1] or None,
        lambda key: key[1:] or None,
        *(lambda key, size=size: key[:size] if len(key) > size else None for size in (16, 24, 32, 64, 128)),
        lambda key: key.partition(b"#")[0] or None,
        lambda key: key.partition(b"$")[0] or None,
        lambda key: key.partition(b"=")[0] or None,
        lambda key: key.partition(b" ")[0] or None,
        lambda key: key.partition(b"\n")[0] or None,
    ),
    of_key(
        "key_hashed",
        "a hash of the key was used",
        "use the key itself; HMAC takes a key of any length",
        *map(_hash_number, range(8)),
    ),
    of_key(
        "key_url_encoded",
        "the key was URL-encoded or -decoded",
        "use the text of the key unchanged",
        _textual(lambda text: quote(text, safe="")),
        _textual(quote_plus),
        _textual(unquote),
        _textual(unquote_plus),
    ),
    of_key(
        "key_escaped",
        "an escape in the key, such as \\n, was read as the character, or the reverse",
        "use the text of the key unchanged",
        _textual(lambda text: json.dumps(text)[1:-1]),
        _textual(lambda text: json.loads(f'"{text}"')),
        _textual(lambda text: text.replace("\\n", "\n")),
    ),
    of_key(
        "key_charset",
        "the key was encoded in another charset than UTF-8",
        "encode the key as UTF-8",
        _textual(lambda text: text.encode("latin-1")),
        _textual(lambda text: text.encode("utf-16-le")),
        _textual(lambda text: text.encode("utf-16-be")),
        _textual(lambda text: text.encode("ascii", "replace")),
        lambda key: key.decode("latin-1").encode(),
    ),
)


def of_other_keys(
    previous: Iterable[tuple[str, bytes]],
    scheduled: Iterable[tuple[str, bytes]],
    others: Iterable[tuple[str, bytes]],
) -> Iterator[Mistake]:
    """Yield the mistakes of using another known key. Each key comes with its name for the report."""
    yield _of_keys(
        "key_previous", "the previous key ({what}) was used", "give the signer the current key", list(previous)
    )
    yield _of_keys(
        "key_scheduled",
        "a key that is not active yet ({what}) was used",
        "give the signer the current key until this one is active",
        list(scheduled),
    )
    yield _of_keys("key_other", "another key ({what}) was used", "give the signer this tenant's key", list(others))


def of_known_texts(texts: Iterable[str], variables: Iterable[str]) -> Iterator[Mistake]:
    """Yield the mistakes of using no key, a word, the name of a setting or a text of the request as the key."""
    unset = [(repr(word), word.encode()) for word in _UNSET]
    spellings = ("{}", "${}", "${{{}}}", "%{}%", "<{}>", "process.env.{}", "os.environ['{}']")
    named = [
        (f"the name {word!r}", word.encode()) for name in variables for word in (s.format(name) for s in spellings)
    ]
    yield _of_keys(*_UNSET_MISTAKE, unset + named)
    yield _of_keys(
        "key_public",
        "{what} was used instead of the key, but it is not secret",
        "give the signer the secret key that belongs to it",
        [(repr(text), text.encode()) for text in texts],
    )


def _of_keys(name: str, description: str, fix: str, keys: list[tuple[str, bytes]]) -> Mistake:
    def vary(attempt: Attempt) -> Variants:
        return ((what, attempt._replace(key=key)) for what, key in keys)

    return Mistake(name, Part.KEY, description, fix, vary)
