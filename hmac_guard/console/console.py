"""`Console`: its arguments, and the applications that serve its pages."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any, NoReturn

from hmac_guard.console.access import Authorize, check_origins, made_once
from hmac_guard.console.mounts import AsgiSite
from hmac_guard.console.site import Site
from hmac_guard.core.errors import ConfigError
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.strict import Strict
from hmac_guard.keys.resolver import check_clock, check_function
from hmac_guard.keys.sql import SqlKeys, VerdictLedger

_MIN_SECRET_LENGTH = 32
_NO_APPLICATION = (
    'Console: a console is not an application itself. Starlette and FastAPI: app.mount("/console", console.asgi). '
    'Flask: app.register_blueprint(console.blueprint(), url_prefix="/console"). Django: path("console/", '
    "include(console.urls)). Elsewhere: console.asgi or console.wsgi"
)


class Console(Strict):
    """The pages for operators: tenants, their keys and modes, and the check of a signature.

    `console.wsgi` and `console.asgi` are the applications. An operator sees all tenants.

    Example::

        console = Console(keys, schemes=[NANGO], authorize=authorize)
        app.register_blueprint(console.blueprint(), url_prefix="/console")   # Flask
        path("console/", include(console.urls))                              # Django
        Mount("/console", app=console.asgi)                                  # Starlette, FastAPI

    Args:
        keys: A `SqlKeys` of a sync engine, or a `CachedKeys` around one.
        schemes: The schemes of the guards, each with its own name.
        authorize: A sync function that returns the `Operator` who sent a request, or None for a 403. It is called for
            every page, on a worker thread, with werkzeug's request; `request.environ["hmac_guard.console.request"]` is
            the request of the framework. An exception in it is a 403.
        counts: The `VerdictCounts` of the guard, or a `VerdictLedger`. None reads the counts in the tables of `keys`.
        title: The name of the console on every page.
        secret: At least 32 characters, the same for all workers. None uses the one that `create_table` has stored.
        origins: The origins of the console's pages where the application cannot know them, behind TLS termination or a
            proxy that changes `Host` or its port: `["https://admin.example.com"]`.
        clock: A function that returns the Unix time in seconds.

    Raises:
        ConfigError: An argument cannot be used.
    """

    def __init__(
        self,
        keys: Any,
        *,
        schemes: Iterable[Scheme],
        authorize: Authorize,
        counts: VerdictLedger | None = None,
        title: str = "Signing keys",
        secret: str | None = None,
        origins: Iterable[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        hidden, source = hide(secret), hide(keys)
        del secret, keys  # What is given instead of a SqlKeys may be secrets.
        stored, cache = _unwrapped(source)
        check_function("Console", "authorize", authorize, "request")
        if counts is not None and not isinstance(counts, VerdictLedger):
            raise ConfigError("Console: counts must be the VerdictCounts of the guard, or None")
        if not isinstance(title, str) or not title.strip() or not title.isprintable():
            raise ConfigError("Console: title must be printable text")
        check_clock("Console", clock)
        self.keys = stored
        self.cache = cache
        self.schemes = _by_name(schemes)
        self.authorize = authorize
        self.ledger = counts if counts is not None else VerdictLedger(stored)
        self.counted_every = getattr(counts, "_every", None)
        self.title = title
        self.origins = check_origins(origins)
        self.clock = clock
        self.secret = made_once(stored.console_secret if hidden.get() is None else _given(hidden))
        self.wsgi = Site(self)
        self.asgi = AsgiSite(self.wsgi)

    def blueprint(self, name: str = "hmac_guard_console") -> Any:
        """Return a Flask blueprint: `app.register_blueprint(console.blueprint(), url_prefix="/console")`."""
        from hmac_guard.console.mounts import flask_blueprint

        return flask_blueprint(self.wsgi, name)

    @cached_property
    def urls(self) -> Any:
        """URL patterns for Django: `path("console/", include(console.urls))`."""
        from hmac_guard.console.mounts import django_urls

        return django_urls(self.wsgi)

    @property
    def is_clear(self) -> bool:
        """Whether keys are stored unencrypted."""
        return not self.keys._sealing

    @contextmanager
    def changing(self, tenant: str) -> Iterator[SqlKeys[Any]]:
        """Change a tenant, then remove it from the cache of this process, so that the next request reads it again."""
        try:
            yield self.keys
        finally:
            # Also after an error: if the answer to a commit is lost, the change may be made.
            if self.cache is not None:
                self.cache.invalidate(tenant)

    if not TYPE_CHECKING:  # To a type checker a console is neither callable, nor a blueprint, nor a list of routes.

        def __call__(self, *given: object) -> NoReturn:
            raise ConfigError(_NO_APPLICATION)

        # So `guard.asgi(console)` and `guard.wsgi(console)` are refused.
        __call__.__signature__ = Signature([Parameter("self", Parameter.POSITIONAL_ONLY)])
        __iter__ = register = __call__

    def _description(self) -> str:
        return f"Console({self.keys!r})"


def _unwrapped(given: Hidden[Any]) -> tuple[Any, Any]:
    """Return the `SqlKeys`, and the `CachedKeys` around it or None."""
    # `CachedKeys` needs another extra, so its class may not be importable.
    is_cached = type(given.get()).__module__ == "hmac_guard.keys.cached"
    stored: Hidden[Any] = hide(given.get()._source if is_cached else given.get())
    kind = type(stored.get()).__name__
    if not isinstance(stored.get(), SqlKeys):
        raise ConfigError(
            f"Console: keys must be a SqlKeys, or a CachedKeys around one, not {kind}; a console changes keys, and "
            "other sources cannot be changed"
        )
    if stored.get().asgi_only:
        raise ConfigError("Console: give a SqlKeys of a sync engine: SqlKeys(create_engine(url)); pages run on threads")
    return stored.get(), given.get() if is_cached else None


def _by_name(schemes: Iterable[Scheme]) -> Mapping[str, Scheme]:
    if isinstance(schemes, (str, Scheme)) or not isinstance(schemes, Iterable):
        raise ConfigError("Console: give schemes as a list: schemes=[NANGO]")
    found = list(schemes)
    if not found or not all(isinstance(scheme, Scheme) for scheme in found):
        raise ConfigError("Console: schemes must name at least one Scheme, such as NANGO, and nothing else")
    named = {scheme.name: scheme for scheme in found}
    if len(named) < len(found):
        raise ConfigError("Console: two schemes have the same name; give one another: scheme.replace(name=...)")
    return named


def _given(secret: Hidden[str | None]) -> Callable[[], Hidden[str]]:
    if not isinstance(secret.get(), str) or len(str(secret.get())) < _MIN_SECRET_LENGTH:
        raise ConfigError(f"Console: secret must be text of at least {_MIN_SECRET_LENGTH} characters, or None")
    return lambda: hide(str(secret.get()))
