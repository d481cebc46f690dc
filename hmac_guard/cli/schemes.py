"""`hmac-guard schemes`: lists the presets, and where each id and the signature are sent."""

import json
from collections.abc import Iterator
from typing import Any

import click

from hmac_guard.cli.arguments import PRESETS
from hmac_guard.cli.options import takes_json
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.source import Source
from hmac_guard.core.sources import Header, HeaderItem, Json, Path

Place = dict[str, str]

_NAME, _FIELD, _VALUE = 18, 16, 46


@click.command("schemes")
@takes_json
def command(in_json: bool) -> None:
    """List the presets: what each signs, how, and where it is sent.

    \b
      hmac-guard schemes
      hmac-guard schemes --json
    """
    presets = [_described(PRESETS[name]) for name in sorted(PRESETS)]
    if in_json:
        click.echo(json.dumps(presets, indent=2))
    else:
        click.echo("\n\n".join("\n".join(_lines(preset)) for preset in presets))


def _described(scheme: Scheme) -> dict[str, Any]:
    return {
        "name": scheme.name,
        "message": scheme.message,
        "algorithm": scheme.algorithm,
        "encoding": scheme.encoding,
        "prefix": scheme.prefix,
        "optional": sorted(scheme.optional),
        "ids": {name: _places(source) for name, source in scheme.ids.items()},
        **({"times": {time.name: _places(time.source) for time in scheme.times}} if scheme.times else {}),
        "signature": _places(scheme.signature),
        "tenant": _places(scheme.tenant) if scheme.tenant else [],
    }


def _places(source: Source) -> list[Place]:
    return [described for place in source.places() for described in _described_place(place)]


def _described_place(place: Any) -> Iterator[Place]:
    kind = type(place).__name__.lower()
    if isinstance(place, Path):
        yield from ({"in": kind, "template": template} for template in place.templates)
    elif isinstance(place, Json):
        yield {"in": kind, "pointer": place.pointer}
    elif isinstance(place, HeaderItem):
        yield {"in": "header", "name": place.name, "item": place.key}
    elif isinstance(place, Header) and place.before:
        yield {"in": kind, "name": place.name, "before": place.before}
    else:
        yield {"in": kind, "name": place.name}


def _lines(preset: dict[str, Any]) -> Iterator[str]:
    name = preset["name"]
    for field, values in _rows(preset):
        joined = ", ".join(values)
        for number, value in enumerate([joined] if len(joined) <= _VALUE else values):
            yield f"{name:{_NAME}}{'' if number else field:{_FIELD}}{value}"
            name = ""


def _rows(preset: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    yield "message", [preset["message"]]
    yield (
        "digest",
        [preset["algorithm"], preset["encoding"], *([f"after {preset['prefix']}"] if preset["prefix"] else [])],
    )
    fields = {**preset["ids"], **preset.get("times", {}), "signature": preset["signature"], "tenant": preset["tenant"]}
    for field, places in fields.items():
        optional = ["or absent"] if field in preset["optional"] else []
        if places:
            yield field, [*map(_words, places), *optional]


def _words(place: Place) -> str:
    kind, at, *_ = place.values()
    return f"{kind} {at}" + "".join(f" {name} {place[name]!r}" for name in ("before", "item") if name in place)
