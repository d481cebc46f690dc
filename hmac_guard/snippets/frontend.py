"""The call that a browser makes with a signature, in JavaScript, and the same request with curl."""

import json
import re
import shlex
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from hmac_guard.core.scheme import Scheme
from hmac_guard.snippets import literals
from hmac_guard.snippets.call import Call, make_call
from hmac_guard.snippets.environment import templates
from hmac_guard.snippets.names import camel, local_names

HOST = "https://api.example.com"
_SLOT = re.compile(r"\{(.+?)\}")


def fetch_code(scheme: Scheme) -> str:
    """The call with `fetch`, ready to paste. It has the signature from the backend, and never the key."""
    ids = [field.name for field in scheme.id_fields]
    *names, tenant = local_names([*ids, "tenant?"], camel).values()
    call = make_call(scheme, [*names, "signature", *([tenant] if scheme.tenant else [])])
    return templates.get_template("fetch.j2").render(
        url=HOST + _path(call, lambda name: f"${{encodeURIComponent({name})}}"),
        query=_object(call.query),
        form=_object(call.form),
        document=_object(call.document),
        headers=_object(_headers(call)),
        cookies=[(literals.braced(f"{name}="), value) for name, value in call.cookies.items()],
    )


def _path(call: Call, fill: Callable[[str], str]) -> str:
    """The path with its placeholders filled; one that is no id stands for itself."""
    segments = []
    for segment in call.template.split("/"):
        slot = _SLOT.fullmatch(segment)
        value = call.path.get(slot[1]) if slot else None
        segments.append(quote(slot[1] if slot else segment, safe=":@+,;=") if value is None else fill(value))
    return "/".join(segments)


def _headers(call: Call) -> dict[str, str]:
    media_type = {"Content-Type": '"application/json"'} if call.document else {}
    return media_type | {
        name: f"{value} + {literals.braced(behind)}" if behind else value
        for name, (value, behind) in call.headers.items()
    }


def _object(fields: dict[str, Any]) -> str:
    """A JavaScript object whose values are expressions; "" for none."""
    if not fields:
        return ""
    pairs = (f"{_key(name)}: {_object(value) if isinstance(value, dict) else value}" for name, value in fields.items())
    return f"{{ {', '.join(pairs)} }}"


def _key(name: str) -> str:
    return name if re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) else literals.braced(name)


def curl_command(scheme: Scheme, values: Sequence[str]) -> str:
    """The same request with curl, with values as `make_call` takes them."""
    call = make_call(scheme, values)
    url = HOST + _path(call, lambda text: quote(text, safe=""))
    if call.query:
        url += "?" + urlencode(call.query, quote_via=quote)
    words = ["curl", url]
    for name, (value, behind) in call.headers.items():
        words += ["-H", f"{name}: {value}{behind}"]
    if call.cookies:
        words += ["-b", "; ".join(f"{name}={value}" for name, value in call.cookies.items())]
    if call.document:
        words += ["--json", json.dumps(call.document, ensure_ascii=False)]
    for name, value in call.form.items():
        words += ["--data-urlencode", f"{name}={value}"]
    return _in_lines(words)


def _in_lines(words: list[str]) -> str:
    """The words of a command, an option and its value on a line of their own."""
    options = [f"{option} {shlex.quote(value)}" for option, value in zip(words[2::2], words[3::2], strict=True)]
    return " \\\n  ".join([f"{words[0]} {shlex.quote(words[1])}", *options])
