"""Generated requests of signers that make mistakes, with the names of the mistakes.

A signer is ordinary signing code with a switch for each mistake. It shares no code with the tables of `explain`.
"""

import base64
import hashlib
import hmac
import json
import random
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import quote, quote_plus, urlencode

from hmac_guard import Header, Json, Key, Query, Scheme
from hmac_guard.schemes import NANGO, SUPRSEND

ORDERS = Scheme(
    name="orders",
    ids={"tenant_id": Query("tenant"), "order_id": Query("order"), "user_id": Query("user")},
    message="v1.{tenant_id}.{order_id}.{user_id}",
    signature=Query("sig"),
    encoding="base64",
    algorithm="sha512",
    prefix="v1=",
)
HOOKS = Scheme(
    name="hooks",
    ids={"account": Json("/account/id"), "event": Json("/event")},
    message="{account}|{event}",
    signature=Header("X-Signature"),
    prefix="sha256=",
)


#: What clients send JSON as where their code sets no Content-Type.
OTHER_TYPES = (
    "text/plain",
    "text/plain;charset=UTF-8",
    "*/*",
    "application/json-rpc",
    "application/x-www-form-urlencoded",
    "application/octet-stream",
)


class Sample(NamedTuple):
    """A request, the key of the guard that receives it, and the mistakes of the signer."""

    scheme: Scheme
    key: Key
    previous: Key
    other: Key
    request: bytes
    planted: frozenset[str]


@dataclass
class Signer:
    """The code of a signer. `planted` are the names of its mistakes."""

    scheme: Scheme
    secret: str
    form: str
    previous: str
    other: str
    ids: dict[str, str]
    planted: frozenset[str]
    random: random.Random
    choices: dict[str, int] = field(default_factory=dict)

    def has(self, mistake: str) -> bool:
        return mistake in self.planted

    def one_of(self, mistake: str, options: list[Any]) -> Any:
        """Return a variant of this mistake. It is the same variant each time."""
        return options[self.choices.setdefault(mistake, self.random.randrange(1000)) % len(options)]

    def key(self) -> bytes:
        text = self.secret
        if self.has("previous key"):
            text = self.previous
        if self.has("another tenant's key"):
            text = self.other
        if self.has("no key"):
            return str(self.one_of("no key", ["", "undefined", "null", "None"])).encode()
        if self.has("quoted key"):
            text = self.one_of("quoted key", [f'"{text}"', f"'{text}'"])
        if self.has("newline behind key"):
            text += self.one_of("newline behind key", ["\n", "\r\n"])
        if self.has("space around key"):
            text = self.one_of("space around key", [" " + text, text + " ", text + "\t"])
        if self.has("byte order mark before key"):
            text = "\ufeff" + text
        if self.has("literal newline after key"):
            text += self.one_of("literal newline after key", [r"\n", r"\r\n"])
        decodes = (self.form != "text") != (self.has("key decoded") or self.has("key not decoded"))
        return self.decoded(text) if decodes else text.encode()

    def decoded(self, text: str) -> bytes:
        try:
            return bytes.fromhex(text) if self.looks_hex() else base64.b64decode(text + "==", altchars=b"-_")
        except ValueError:
            return text.encode()

    def looks_hex(self) -> bool:
        return all(character in "0123456789abcdef" for character in self.secret)

    def text_of(self, name: str, text: str) -> str:
        """Return the text that this signer signs for an id."""
        victim = self.one_of("victim", list(self.ids))
        if name != victim:
            return text
        if self.has("lower case"):
            text = text.lower()
        if self.has("upper case"):
            text = text.upper()
        if self.has("decomposed"):
            text = unicodedata.normalize("NFD", text)
        if self.has("composed"):
            text = unicodedata.normalize("NFC", text)
        if self.has("number"):
            text = json.dumps(int(text)) if len(text) < 16 else self.as_a_browser_prints(text)
        return self.written(text)

    def written(self, text: str) -> str:
        """Return the text of an id in the message."""
        if self.has("newline behind id"):
            text += "\n"
        if self.has("spaces around id"):
            text = self.one_of("spaces around id", [" " + text, text + " "])
        if self.has("plus for space"):
            text = text.replace(" ", "+")
        if self.has("encoded id"):
            text = self.one_of("encoded id", [quote(text, safe=""), quote(text), quote_plus(text)])
        if self.has("JSON id"):
            text = self.one_of("JSON id", [json.dumps(text), json.dumps(text, ensure_ascii=False)])
        return text

    @staticmethod
    def as_a_browser_prints(text: str) -> str:
        """Return an integer below 1e21 as JavaScript prints it: the shortest digits of the same double, then zeros."""
        digits = repr(float(text)).partition("e")[0].replace(".", "").rstrip("0")
        return digits.ljust(len(str(int(text))), "0")

    def message(self) -> str:
        ids = {name: self.text_of(name, text) for name, text in self.ids.items()}
        names = list(ids)
        if self.has("ids swapped"):
            turned = self.one_of("ids swapped", [names[::-1], names[1:] + names[:1]])
            ids = {name: ids[other] for name, other in zip(names, turned, strict=True)}
        separator = {"nango": ":", "orders": ".", "hooks": "|", "suprsend": ""}[self.scheme.name]
        if self.has("other separator"):
            separator = self.one_of(
                "other separator", [one for one in ("", ":", ".", "-", "_", "/", "|") if one != separator]
            )
        if self.has("id missing"):
            ids.pop(self.one_of("id missing", names))
        text = separator.join(ids.values())
        if self.scheme.name == "orders":
            text = "v1." + text
        if self.has("JSON message"):
            text = json.dumps(text)
        if self.has("encoded message"):
            text = quote(text, safe="")
        if self.has("newline behind message"):
            text += "\n"
        return text

    def digest(self) -> bytes:
        key, message, algorithm = self.key(), self.message().encode(), self.scheme.algorithm
        if self.has("another algorithm"):
            algorithm = self.one_of(
                "another algorithm", [a for a in ("sha1", "sha256", "sha384", "sha512", "md5") if a != algorithm]
            )
        if self.has("plain hash"):
            data = self.one_of("plain hash", [key + message, message + key])
            return hashlib.new(algorithm, data).digest()
        if self.has("arguments swapped"):
            key, message = message, key
        digest = hmac.new(key, message, algorithm).digest()
        if self.has("hash of the hex digest"):
            return hashlib.new(algorithm, digest.hex().encode()).digest()
        return digest

    def signature(self) -> str:
        digest, encoding = self.digest(), self.scheme.encoding
        if self.has("hex text encoded"):
            digest = digest.hex().encode()
        if self.has("other encoding"):
            encoding = self.one_of("other encoding", [e for e in ("hex", "base64", "base64url") if e != encoding])
        text: str = {"hex": self.hex, "base64": self.base64, "base64url": self.base64url}[encoding](digest)
        if self.has("other padding"):
            text = text.rstrip("=") if text.endswith("=") else text + "=" * (-len(text) % 4)
        if self.has("upper-case signature"):
            text = text.upper()
        prefix = self.scheme.prefix
        if self.has("other prefix"):
            prefix = self.one_of("other prefix", [p for p in ("", "sha256=", "v1=", "v0=") if p != prefix])
        return prefix + text

    @staticmethod
    def hex(digest: bytes) -> str:
        return digest.hex()

    @staticmethod
    def base64(digest: bytes) -> str:
        return base64.b64encode(digest).decode()

    @staticmethod
    def base64url(digest: bytes) -> str:
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def request(self) -> bytes:
        """Return the request in one of the forms that `capture` reads."""
        signature = self.signature()
        sent = {name: quote(text, safe="") if self.has("encoded twice") else text for name, text in self.ids.items()}
        if self.scheme.name == "hooks":
            return self.posted(sent, signature)
        fields = {**self.fields(sent), self.signature_field(): signature}
        encoded = urlencode(fields) if not self.has("plus not encoded") else urlencode(fields, safe="+")
        if self.has("HTML's ampersand"):
            encoded = encoded.replace("&", "&amp;")
        url = f"https://api.example.com{self.path(sent)}?{encoded}"
        form: Callable[[str], bytes] = self.one_of("form", [self.as_url, self.as_curl, self.as_raw, self.as_har])
        return form(url)

    def path(self, sent: dict[str, str]) -> str:
        if self.scheme.name != "nango":
            return "/in"
        path = f"/oauth/connect/{quote(sent['integration_id'], safe='')}"
        if self.has("slash behind path"):
            path += "/"
        if self.has("prefix before path"):
            path = self.one_of("prefix before path", ["/prod", "/api/v1", "/$default", "/api/auth"]) + path
        return path

    def fields(self, sent: dict[str, str]) -> dict[str, str]:
        if self.scheme.name == "nango":
            return {"connection_id": sent["connection_id"]}
        return (
            {"tenant": sent["tenant_id"], "order": sent["order_id"], "user": sent["user_id"]}
            if len(sent) == 3
            else sent
        )

    def signature_field(self) -> str:
        return {"nango": "hmac", "suprsend": "subscriber_id", "orders": "sig"}[self.scheme.name]

    def posted(self, sent: dict[str, str], signature: str) -> bytes:
        body = json.dumps({"account": {"id": sent["account"]}, "event": sent["event"]}, ensure_ascii=False)
        media_type = "Content-Type: application/json\r\n"
        if self.has("JSON of another type"):
            media_type = self.one_of("JSON of another type", [f"Content-Type: {one}\r\n" for one in OTHER_TYPES] + [""])
        return (
            f"POST /hook HTTP/1.1\r\nHost: api.example.com\r\n{media_type}"
            f"X-Signature: {signature}\r\nContent-Length: {len(body.encode())}\r\n\r\n{body}"
        ).encode()

    @staticmethod
    def as_url(url: str) -> bytes:
        return url.encode()

    @staticmethod
    def as_curl(url: str) -> bytes:
        return f"curl -s -X GET '{url.replace(chr(39), '%27')}' -H 'Accept: */*'".encode()

    @staticmethod
    def as_raw(url: str) -> bytes:
        return f"GET {url.removeprefix('https://api.example.com')} HTTP/1.1\nHost: api.example.com\n\n".encode()

    @staticmethod
    def as_har(url: str) -> bytes:
        return json.dumps({"request": {"method": "GET", "url": url, "headers": []}}).encode()


#: The mistakes that people make, in groups of which a signer makes one.
GROUPS: tuple[tuple[str, ...], ...] = (
    ("previous key", "another tenant's key", "no key"),
    ("quoted key", "newline behind key", "space around key"),
    ("byte order mark before key", "literal newline after key"),
    ("key decoded", "key not decoded"),
    ("ids swapped", "id missing"),
    ("other separator",),
    ("JSON id", "JSON message"),
    ("encoded id", "encoded message", "encoded twice"),
    ("plus for space", "plus not encoded"),
    ("decomposed", "composed"),
    ("lower case", "upper case"),
    ("spaces around id", "newline behind id", "newline behind message"),
    ("number",),
    ("another algorithm",),
    ("plain hash", "arguments swapped", "hash of the hex digest"),
    ("hex text encoded", "other encoding"),
    ("other padding",),
    ("upper-case signature",),
    ("other prefix",),
    ("JSON of another type",),
    ("slash behind path", "prefix before path"),
    ("HTML's ampersand",),
)


def corpus(count: int, seed: int) -> Iterator[Sample]:
    """Yield samples with one mistake and with two mistakes in turn. All mistakes occur."""
    source = random.Random(seed)
    for number in range(count):
        yield _sample(source, 1 + number % 2)


def correct(count: int, seed: int) -> Iterator[Sample]:
    """Yield samples without mistakes."""
    source = random.Random(seed)
    for _ in range(count):
        yield _finished(_signer(source), frozenset())


def _sample(source: random.Random, mistakes: int) -> Sample:
    while True:
        groups = source.sample(GROUPS, mistakes)
        planted = frozenset(source.choice(group) for group in groups)
        signer = _signer(source)
        if _matters(signer, planted):
            return _finished(signer, planted)


#: A decoder skips the rest, or stops at it.
_OF_TEXT_KEYS = {"key decoded", "quoted key", "byte order mark before key", "literal newline after key"}


def _matters(signer: Signer, planted: frozenset[str]) -> bool:
    """Return whether these mistakes are possible here, and each of them changes the request."""
    if "number" in planted and not all(text.isdecimal() for text in signer.ids.values()):
        return False
    if not planted.isdisjoint(_OF_TEXT_KEYS) and signer.form != "text":
        return False
    if "key not decoded" in planted and signer.form == "text":
        return False
    if "plus not encoded" in planted and signer.scheme.encoding == "base64":
        return False
    fewer = [planted - {one} for one in planted] + [frozenset[str]()]
    return _sent(signer, planted) not in {_sent(signer, kept) for kept in fewer}


def _sent(signer: Signer, planted: frozenset[str]) -> bytes:
    signer.planted = planted
    return signer.request()


def _finished(signer: Signer, planted: frozenset[str]) -> Sample:
    make = {"text": Key.from_text, "hex": Key.from_hex, "base64": Key.from_base64}[signer.form]
    current, previous, other = (make(text) for text in (signer.secret, signer.previous, signer.other))
    return Sample(signer.scheme, current, previous, other, _sent(signer, planted), planted)


def _signer(source: random.Random) -> Signer:
    scheme = source.choice((NANGO, SUPRSEND, ORDERS, HOOKS))
    form = source.choice(("text", "text", "hex", "base64"))
    written = source.choice(_SECRETS) if form == "text" else _SECRETS[("hex", "base64").index(form)]
    secrets = [written(source) for _ in range(3)]
    texts = source.choice(_ID_KINDS)
    ids = {field.name: texts(source) for field in scheme.id_fields}
    return Signer(scheme, secrets[0], form, secrets[1], secrets[2], ids, frozenset(), source)


def _word(source: random.Random, letters: str, least: int, most: int) -> str:
    return "".join(source.choice(letters) for _ in range(source.randint(least, most)))


_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

_SECRETS: tuple[Callable[[random.Random], str], ...] = (
    lambda source: source.randbytes(32).hex(),
    lambda source: base64.b64encode(source.randbytes(source.choice((24, 32, 33)))).decode(),
    lambda source: base64.urlsafe_b64encode(source.randbytes(32)).decode().rstrip("="),
    lambda source: _word(source, _LETTERS, 20, 40),
    lambda source: "pässwörter-" + _word(source, _LETTERS, 16, 20),
)


def _mixed(source: random.Random) -> str:
    return f"{_word(source, _LETTERS, 2, 8)} {_word(source, 'ÄÖÜäöüéèñ日本', 1, 3)}+{_word(source, _LETTERS, 2, 8)}"


_ID_KINDS: tuple[Callable[[random.Random], str], ...] = (
    lambda source: f"User-{_word(source, _LETTERS, 4, 12)}",
    lambda source: f"{_word(source, _LETTERS, 3, 8)}+tag@Example.com".replace(".", "-"),
    lambda source: f"Jo {_word(source, _LETTERS, 3, 8)}",
    lambda source: unicodedata.normalize(source.choice(("NFC", "NFD")), _mixed(source)),
    lambda source: "0" + _word(source, "123456789", 3, 8),
    lambda source: _word(source, "123456789", 18, 20),
    lambda source: "-".join(_word(source, "0123456789abcdef", size, size) for size in (8, 4, 4, 4, 12)),
)
