"""Python 3.10 and 3.11 call `repr` of each local variable that a traceback shows, also of `self` in `__init__`."""

import traceback

import pytest

from hmac_guard import (
    Claim,
    ConfigError,
    Cookie,
    Expires,
    Form,
    Guard,
    Header,
    Json,
    Key,
    Keyring,
    Path,
    Query,
    Scheme,
    SignedFields,
    Timestamp,
)
from hmac_guard.asgi.request import AsgiRequest
from hmac_guard.client.signer import Signer, Signing
from hmac_guard.console import Console
from hmac_guard.core.source import _Either
from hmac_guard.keys import (
    CachedKeys,
    ChainKeys,
    EnvKeys,
    FileKeys,
    MappingKeys,
    RedisInvalidation,
    SqlKeys,
    StaticKeys,
    VerdictCounts,
)
from hmac_guard.keys.resolver import CallableKeys
from hmac_guard.keys.sql.listing import NewKey
from hmac_guard.keys.sql.secret import Secret
from hmac_guard.once import MemoryOnce, RedisOnce, SqlOnce
from hmac_guard.schemes import NANGO
from hmac_guard.testing import Clock
from hmac_guard.wsgi.request import WsgiRequest

#: Each class that is made in the package or by users and shows its fields.
CLASSES: list[type] = [
    *(AsgiRequest, CachedKeys, CallableKeys, ChainKeys, Claim, Clock, Console, Cookie, EnvKeys, Expires, FileKeys),
    *(Form, Guard, Header, Json, Key, Keyring, MappingKeys, MemoryOnce, NewKey, Path, Query, RedisInvalidation),
    *(RedisOnce, Scheme, Secret, SignedFields, Signer, Signing, SqlKeys, SqlOnce, StaticKeys, Timestamp),
    *(VerdictCounts, WsgiRequest, _Either),
]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_an_object_that_is_not_made_yet_has_a_repr(kind: type) -> None:
    made: object = object.__new__(kind)

    assert kind.__name__ in repr(made)


def test_the_local_variables_of_a_constructor_that_raises_can_be_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        Guard(NANGO, "key", mode="monitor")  # type: ignore[arg-type]
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()

    assert "self = <Guard, not made>" in "".join(shown)
