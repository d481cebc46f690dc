"""Paths: which are canonical, which ones a guard skips, and which ones contain an id.

A path here is the application's own: decoded once by the server, without the mount point. An odd path is never
resolved, only refused, because servers resolve it in different ways (threats T036, T058 to T062).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.verdict import Reason, Refused

_ODD = re.compile(
    r"//|/\.\.?(?:/|\Z)|[\\\x00-\x1f\x7f-\x9f\ufffd\ud800-\udfff]|%2f|%5c",
    re.IGNORECASE,
)
#: Most canonical paths: matched in half the time of a search for what is odd.
_PLAIN = re.compile(r"(?:/[0-9A-Za-z_-][0-9A-Za-z_.-]*)+")
_PATTERN = re.compile(r"[*?#<>{}]|%[0-9A-Fa-f]{2}")
_PLACEHOLDER = re.compile(r"\{([^{}/]+)\}")


def is_canonical(path: str) -> bool:
    """Return whether every server and framework reads `path` as the same path."""
    return _PLAIN.fullmatch(path) is not None or (path.startswith("/") and _ODD.search(path) is None)


class ExemptPaths:
    """The paths in `exempt`: exact ones, and prefixes that end in `/`. The guard does not check them."""

    __slots__ = ("_exact", "_prefixes")

    def __init__(self, entries: Iterable[str] = ()) -> None:
        checked = _checked("exempt", entries)
        if any(";" in entry for entry in checked):
            raise ConfigError("exempt: an entry has a ';'; no path with a ';' is ever exempt, leave the entry out")
        # "/" means only the front page: a whole site is never exempt.
        self._prefixes = tuple(entry for entry in checked if entry.endswith("/") and entry != "/")
        self._exact = frozenset(checked).difference(self._prefixes)

    def __bool__(self) -> bool:
        return bool(self._exact or self._prefixes)

    def __iter__(self) -> Iterator[str]:
        return iter((*self._exact, *self._prefixes))

    def holds(self, path: str) -> bool:
        """Return whether `path` is exempt."""
        return path in self._exact or path.startswith(self._prefixes)

    def may_hold(self, start: str) -> bool:
        """Return whether some path that begins with `start` is exempt."""
        return start.startswith(self._prefixes) or any(entry.startswith(start) for entry in self)


class GuardedPaths:
    """The paths in `only`. The guard checks no other path.

    An application may set a mount point itself, which a guard outside of it cannot see. So a path is guarded if an
    entry that ends in `/` is anywhere in it, or if it ends with an entry; a last `/` does not count there.
    """

    __slots__ = ("_ends", "_prefixes")

    def __init__(self, entries: Iterable[str] = ()) -> None:
        checked = _checked("only", entries)
        self._prefixes = tuple(entry for entry in checked if entry.endswith("/"))
        self._ends = tuple(entry.removesuffix("/") for entry in checked)

    def __bool__(self) -> bool:
        return bool(self._ends)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self._prefixes, *self._ends)))

    def holds(self, path: str) -> bool:
        """Return whether `path` is guarded."""
        return self.holds_all(path) or path.removesuffix("/").endswith(self._ends)

    def holds_all(self, start: str) -> bool:
        """Return whether every path that begins with `start` is guarded."""
        return any(prefix in start for prefix in self._prefixes)


def _checked(argument: str, entries: Iterable[str]) -> list[str]:
    if isinstance(entries, str):
        raise ConfigError(f'{argument}: give several paths, not one text: {argument}=("/health",)')
    if not isinstance(entries, Iterable):
        raise ConfigError(f'{argument}: give paths as a tuple or list: {argument}=("/health",)')
    checked = list(entries)
    for entry in checked:
        if isinstance(entry, str) and _PATTERN.search(entry):
            raise ConfigError(
                f"{argument}: {entry!r} looks like a pattern or is not decoded, and would match only this "
                "text; give an exact path, or a prefix that ends in '/', such as '/api/'"
            )
        if not isinstance(entry, str) or not is_canonical(entry):
            raise ConfigError(
                f"{argument}: {entry!r} is not a canonical path: one '/' first, decoded, no '//', no '.' or '..' "
                "segment, no backslash, no control character"
            )
    return checked


def compile_templates(templates: tuple[str, ...], name: str) -> "re.Pattern[str]":
    """Return one pattern for the templates of whole paths. Its last group that takes part is the placeholder `{name}`.

    That group is empty for a path that differs from a template by its last `/` alone, and matches no other template.

    Raises:
        ConfigError: A template is not valid, or two of them can match the same path.
    """
    compiled: list[list[str]] = []
    for template in templates:
        segments = segments_of(template, name)
        for earlier, other in zip(templates, compiled, strict=False):
            if share_a_path(other, segments):
                raise ConfigError(
                    f"Path: {earlier!r} and {template!r} can match the same path, and the id could be in two places; "
                    "keep one of them"
                )
        compiled.append(segments)
    patterns = ["/" + "/".join(segments) for segments in compiled]
    others = [pattern.removesuffix("/") if pattern.endswith("/") else pattern + "/" for pattern in patterns]
    return re.compile("|".join([*patterns, *(other + "()" for other in others)]))


_ID_SEGMENT = "([^/]+)"
_ANY_SEGMENT = "[^/]+"


def share_a_path(segments: Sequence[str], others: Sequence[str]) -> bool:
    """Return whether a path matches two templates, by the patterns of their segments."""
    return len(segments) == len(others) and all(map(_overlap, segments, others))


def is_taken(segments: Sequence[str], others: Sequence[str]) -> bool:
    """Return whether a path can match both templates, and the second has an id or a fixed text in the id's segment."""
    return share_a_path(segments, others) and others[id_position(segments)] != _ANY_SEGMENT


def is_within(segments: Sequence[str], others: Sequence[str]) -> bool:
    """Return whether each path that matches the one template matches the other, too."""
    return len(segments) == len(others) and all(
        one == other or (bool(one) and other in (_ID_SEGMENT, _ANY_SEGMENT))
        for one, other in zip(segments, others, strict=True)
    )


def id_position(segments: Sequence[str]) -> int:
    """Return the position of the id in a template."""
    return segments.index(_ID_SEGMENT)


def _overlap(one: str, other: str) -> bool:
    # A placeholder never matches the empty segment behind a last slash.
    return one == other or (bool(one and other) and not {one, other}.isdisjoint((_ID_SEGMENT, _ANY_SEGMENT)))


def segments_of(template: str, name: str) -> list[str]:
    """Return the pattern of each segment of a template. Raise `ConfigError` for a template that is not valid."""
    if not isinstance(template, str) or not is_canonical(template):
        raise ConfigError(f"Path: {template!r} is not a template of a whole path such as '/connect/{{{name}}}'")
    patterns = []
    for segment in template[1:].split("/"):
        placeholder = _PLACEHOLDER.fullmatch(segment)
        if placeholder:
            patterns.append(_ID_SEGMENT if placeholder[1] == name else _ANY_SEGMENT)
        elif "{" in segment or "}" in segment:
            raise ConfigError(f"Path: in {template!r} a placeholder must be a whole segment, as in '/{{{name}}}/'")
        elif _PATTERN.search(segment):
            raise ConfigError(
                f"Path: {template!r} has {segment!r}, which looks like a pattern or is not decoded, and would match "
                f"only this text; write the decoded text, and a segment that can be anything as '{{other}}'"
            )
        else:
            patterns.append(re.escape(segment))
    if patterns.count(_ID_SEGMENT) != 1:
        raise ConfigError(f"Path: {template!r} must have the placeholder {{{name}}} exactly once")
    return patterns


_ODD_PATH = Refused(
    Reason.MALFORMED,
    "is not canonical: it has '//', '.', '..', a backslash, a control character, an encoded slash, or bytes that are "
    "not UTF-8",
)


_OTHER_END = Refused(
    Reason.MISSING_ID,
    "differs from the path of the request by its last '/' alone; request it as it is written there, or give both "
    "templates",
)


def text_in_path(path: str, pattern: Any) -> str | Refused | None:
    """Return the text of an id in a path; None if no template matches."""
    # The root of a mounted application may be "". No template matches it, and all frameworks read it the same.
    if path and not is_canonical(path):
        return _ODD_PATH
    match = pattern.fullmatch(path)
    return (match[match.lastindex] or _OTHER_END) if match else None
