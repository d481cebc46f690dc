"""Checks the options of a guard. An invalid option raises `ConfigError` when the guard is made."""

import re
from typing import Any

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.hidden import Hidden
from hmac_guard.core.key import MODES
from hmac_guard.core.numbers import check_flag
from hmac_guard.core.scheme import Scheme
from hmac_guard.keys.resolver import Resolver, check_function

_ANNOTATION = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)*")
# RFC 3986 without "#": an absolute URL, or a path on the same host.
_ADDRESS = re.compile(r"(?:https?://|/)[!$-;=?-Z_a-z~%@\[\]]*")
_TAKEN = {
    *("type", "asgi", "http_version", "method", "scheme", "path", "raw_path", "query_string", "root_path", "headers"),
    *("client", "server", "state", "extensions", "subprotocols", "app", "router", "endpoint", "path_params", "session"),
    *("user", "auth", "url_route", "cookies", "route", "route_handler", "app_root_path", "litestar_app"),
    *("path_template", "path_remaining", "channel"),
}


def check_scheme(scheme: Hidden[Any]) -> None:
    """Raise `ConfigError` if the argument is not a scheme."""
    if not isinstance(scheme.get(), Scheme):
        raise ConfigError(f"Guard: scheme must be a Scheme such as schemes.NANGO, not {type(scheme.get()).__name__}")


def check_policy(mode: object, preflight: object, max_body: object, annotate_as: object, debug: object) -> None:
    """Raise `ConfigError` if one of these options is not valid."""
    if mode not in MODES:
        raise ConfigError('Guard: mode is unknown; use "enforce", "report" or "off"')
    check_flag("Guard: preflight", preflight)
    check_flag("Guard: debug", debug)
    if isinstance(max_body, bool) or not isinstance(max_body, int) or max_body < 1:
        raise ConfigError("Guard: max_body must be a number of bytes, at least 1")
    if not isinstance(annotate_as, str) or not _ANNOTATION.fullmatch(annotate_as) or _is_taken(annotate_as):
        raise ConfigError(
            f"Guard: annotate_as {annotate_as!r} is not a valid name for the verdict; use lower-case letters, digits "
            "and '_', and no key that servers or frameworks use"
        )


def check_functions(**functions: Any) -> None:
    """Raise `ConfigError` if a function cannot be called with its arguments."""
    takes = {"refusal": "code, message", "on_verdict": "verdict, claim", "on_decision": "decision"}
    for argument, function in functions.items():
        if function is not None:
            check_function("Guard", argument, function, takes[argument])


def check_problem_base(base: object) -> None:
    """Raise `ConfigError` if the argument is not a URL or a path without a fragment."""
    if base is not None and (not isinstance(base, str) or not _ADDRESS.fullmatch(base)):
        raise ConfigError(
            "Guard: problem_base must be the URL of a page, without a '#', such as 'https://docs.example/errors'"
        )


def check_single_use(is_given: bool, scope: object, scheme: Scheme, resolver: Resolver) -> None:
    """Raise `ConfigError` for a single-use store that cannot work with the other options."""
    if scope is not None and (not isinstance(scope, str) or not scope or not is_given):
        raise ConfigError("Guard: single_use_scope must be text that is not empty, beside single_use")
    if not is_given:
        return
    if not scheme.times:
        raise ConfigError(
            f"Guard: single_use needs a scheme with a time, and {scheme.name!r} has none: its signatures would have to "
            "be remembered without an end. Give the scheme a Timestamp or an Expires"
        )
    if scheme.tenant is not None and resolver.per_tenant is None:
        raise ConfigError(
            "Guard: single_use needs to know whose signature was used, and the key resolver does not say whether its "
            "keys are by tenant; mark it with hmac_guard.keys.per_tenant, or set per_tenant = False"
        )


def check_key_form(scheme: Scheme, resolver: Resolver) -> None:
    """Raise `ConfigError` for known keys that cannot be meant for the scheme."""
    for key in resolver.known_keys():
        fault = scheme.fault_of_key(key)
        if fault is not None:
            rings = resolver.known_rings().items()
            named = "" if key.id is None else f"the key {key.id!r}: "
            owner = next((f"the tenant {tenant!r}: " for tenant, ring in rings if key in ring.keys), named)
            raise ConfigError(f"Guard: {owner}{fault}")


def _is_taken(name: str) -> bool:
    return name in _TAKEN or re.split(r"[._]", name)[0] in ("wsgi", "werkzeug", "asgi", "starlette", "fastapi", "flask")
