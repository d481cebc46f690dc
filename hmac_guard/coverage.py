"""Which routes a guard covers: what the helpers `uncovered_routes` of the frameworks share."""

from collections.abc import Iterable, Iterator
from typing import Any

from hmac_guard.guard import Guard


def layers(app: Any) -> Iterator[Any]:
    """An application and whatever it is wrapped around, from the outside in."""
    seen: list[Any] = []
    while app is not None and not any(app is other for other in seen):
        yield app
        seen.append(app)
        inner = (getattr(app, name, None) for name in ("app", "wsgi_app", "application"))
        app = next((candidate for candidate in inner if callable(candidate)), None)


def covered(guards: Iterable[Guard], start: str, *, fixed: bool) -> bool:
    """Whether one of the guards judges every request for a route: for the path `start` if it is `fixed`, else for any
    path that begins with it."""
    return any(not guard._decider.may_skip(start, fixed=fixed) for guard in guards)
