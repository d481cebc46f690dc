"""Whose keys they are: what proves a tenant, one secret for two tenants, and the modes of tenants."""

import hashlib
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from key_sources import KEY, OTHER_KEY, claim_of
from sqlalchemy import create_engine
from support import Call, Sent

from hmac_guard import Claim, ConfigError, Guard, Key, Keyring, Query, Scheme
from hmac_guard.guard import Mode
from hmac_guard.keys import (
    CachedKeys,
    ChainKeys,
    EnvKeys,
    FileKeys,
    KeyResolver,
    MappingKeys,
    SqlKeys,
    StaticKeys,
    per_tenant,
)
from hmac_guard.keys.resolver import as_resolver

SCHEME = Scheme(name="one", ids={"a": Query("a")}, message="{a}", signature=Query("sig"), tenant=Query("t"))
BY_TENANT = {"acme": KEY, "globex": OTHER_KEY}


def lookup(claim: Claim) -> str | None:
    return BY_TENANT.get(claim.tenant or "")


class Lookup:
    """A callable object whose class may be declared."""

    per_tenant: bool | None = None

    def __call__(self, claim: Claim) -> str | None:
        return lookup(claim)

    def method(self, claim: Claim) -> str | None:
        return lookup(claim)


class Sealed:
    """A callable object that takes no attributes."""

    __slots__ = ()
    blocking = False

    def __call__(self, claim: Claim) -> str | None:
        return lookup(claim)


def ask(resolver: KeyResolver, tenant: str) -> Any:
    return as_resolver(resolver)(claim_of(tenant))


def test_a_function_is_declared_by_a_decorator_and_stays_what_it_is() -> None:
    @per_tenant
    def keys(claim: Claim, more: int = 1) -> str:
        """Its own text."""
        return KEY

    @per_tenant
    async def later(claim: Claim) -> str:
        return KEY

    assert as_resolver(keys).per_tenant is True
    assert as_resolver(later).per_tenant is True
    assert (keys.__name__, keys.__doc__, str(inspect.signature(keys))) == (
        "keys",
        "Its own text.",
        "(claim: hmac_guard.core.verdict.Claim, more: int = 1) -> str",
    )
    assert inspect.iscoroutinefunction(later)
    assert keys(claim_of("acme")) == KEY


@pytest.mark.parametrize(
    "make",
    [
        lambda: per_tenant(lambda claim: lookup(claim)),
        lambda: per_tenant(partial(lookup)),
        lambda: per_tenant(Lookup()),
        lambda: per_tenant(type("Declared", (Lookup,), {}))(),
        lambda: per_tenant(Lookup().method),
        lambda: per_tenant(Sealed()),
        lambda: per_tenant(per_tenant(Sealed())),
    ],
    ids=["a lambda", "a partial", "an object", "a class", "a method", "without attributes", "twice"],
)
def test_any_callable_can_be_declared(call: Call, make: Callable[[], Any]) -> None:
    keys = make()
    guard = Guard(SCHEME, keys)

    assert as_resolver(keys).per_tenant is True
    assert as_resolver(lookup).per_tenant is None
    assert as_resolver(Lookup()).per_tenant is None
    for tenant, secret in BY_TENANT.items():
        sent = Sent(query=f"a=x&sig={SCHEME.sign(secret, a='x')}&t={tenant}")
        assert call(guard, sent).status == 200


def test_what_is_wrapped_keeps_its_other_attributes() -> None:
    class Both(Sealed):
        __slots__ = ()
        asgi_only = True

        def on_loop(self, claim: Claim) -> str | None:
            return lookup(claim)

    declared = as_resolver(per_tenant(Both()))

    assert (declared.blocking, declared.asgi_only) == (False, True)
    assert declared.on_loop(claim_of("acme")) == KEY


@pytest.mark.parametrize(
    "given",
    [StaticKeys(KEY), ChainKeys(lookup), CachedKeys(lookup), "s3cret", None],
    ids=["keys for all", "a chain", "a cache", "text", "None"],
)
def test_what_cannot_be_declared_is_refused(given: Any) -> None:
    with pytest.raises(ConfigError, match="per_tenant"):
        per_tenant(given)


def test_a_resolver_that_is_by_tenant_may_be_declared_again() -> None:
    mapping = MappingKeys(BY_TENANT)

    assert per_tenant(mapping) is mapping


@pytest.mark.parametrize("name", ["per_tenant", "blocking", "asgi_only"])
def test_an_attribute_that_is_neither_true_nor_false_is_refused(name: str) -> None:
    def keys(claim: Claim) -> str:
        return KEY

    setattr(keys, name, "no")
    with pytest.raises(ConfigError, match=f"the attribute {name} of the resolver must be True or False"):
        Guard(SCHEME, keys)


def declared(says: bool | None) -> Any:
    """A resolver that says this of itself."""

    def keys(claim: Claim) -> str:
        return KEY

    keys.per_tenant = says  # type: ignore[attr-defined]
    return keys


@pytest.mark.parametrize(
    ("source", "option", "says"),
    [
        (lookup, None, None),
        (lookup, True, True),
        (lookup, False, False),
        (BY_TENANT, None, True),
        (BY_TENANT, True, True),
        (KEY, None, False),
        (KEY, False, False),
        (declared(True), None, True),
        (declared(False), None, False),
        (ChainKeys(lookup), True, True),
        (ChainKeys(lookup, BY_TENANT), True, True),
        (ChainKeys(lookup, KEY), False, False),
    ],
)
def test_a_cache_says_what_is_declared_or_what_its_source_says(
    source: Any, option: bool | None, says: bool | None
) -> None:
    assert CachedKeys(source, per_tenant=option).per_tenant is says


@pytest.mark.parametrize(
    ("source", "option", "why"),
    [
        (KEY, True, "says otherwise"),
        (ChainKeys(BY_TENANT, KEY), True, "says otherwise"),
        (CachedKeys(ChainKeys(BY_TENANT, KEY)), True, "says otherwise"),
        (CachedKeys(lookup, per_tenant=False), True, "says otherwise"),
        (BY_TENANT, False, "says otherwise"),
        (ChainKeys(lookup, BY_TENANT), False, "says otherwise"),
        (CachedKeys(ChainKeys(lookup, BY_TENANT)), False, "says otherwise"),
        (CachedKeys(lookup, per_tenant=True), False, "says otherwise"),
        (lookup, "yes", "True, False or None"),
    ],
)
def test_a_cache_that_contradicts_its_source_is_refused(source: Any, option: Any, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        CachedKeys(source, per_tenant=option)


def test_our_own_resolvers_say_whether_they_are_by_tenant(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY_acme", KEY)
    (tmp_path / "acme").write_text(KEY)

    assert as_resolver(BY_TENANT).per_tenant is True
    assert SqlKeys(create_engine("sqlite:///keys.db")).per_tenant is True
    assert EnvKeys("TEST_KEY_{tenant}").per_tenant is True
    assert FileKeys(tmp_path / "{tenant}").per_tenant is True
    assert EnvKeys("TEST_KEY_acme").per_tenant is False
    assert FileKeys(tmp_path / "acme").per_tenant is False
    assert as_resolver(KEY).per_tenant is False


@pytest.mark.parametrize(
    "before", [KEY, CachedKeys(KEY), ChainKeys(BY_TENANT, KEY), CachedKeys(ChainKeys(lookup, KEY))]
)
def test_keys_for_all_stand_last_also_inside_another_source(before: Any) -> None:
    with pytest.raises(ConfigError, match="put it last"):
        ChainKeys(before, {"umbrella": "8f1c6f0f5b1f4b6d9f6a2d7e4c3b2a20"})


@pytest.mark.parametrize(
    "keys",
    [
        BY_TENANT,
        ChainKeys(BY_TENANT, "8f1c6f0f5b1f4b6d9f6a2d7e4c3b2a20"),
        CachedKeys(ChainKeys(lookup, BY_TENANT)),
        CachedKeys(lookup, per_tenant=True),
        declared(True),
    ],
    ids=["a mapping", "a chain of one", "a cache of one", "a declared cache", "a declared function"],
)
def test_keys_by_tenant_need_a_scheme_with_a_tenant(keys: Any) -> None:
    with pytest.raises(ConfigError, match="keys are by tenant, but the scheme 'one' has no tenant="):
        Guard(SCHEME.replace(tenant=None), keys)


LONG = "0123456789abcdef" * 5


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (KEY, KEY),
        (KEY, KEY.encode()),
        (KEY, Key(KEY, id="x", not_after=1.0)),
        (KEY, f"{KEY}\0\0"),
        ([OTHER_KEY, KEY], KEY),
        (Keyring([KEY]), [LONG, KEY]),
    ],
    ids=["text", "bytes", "a key", "padded", "one of two", "a ring"],
)
def test_one_secret_for_two_tenants_is_refused(one: Any, other: Any) -> None:
    with pytest.raises(ConfigError, match="the tenants 'acme' and 'globex' have the same secret") as refused:
        Guard(SCHEME, {"acme": one, "umbrella": LONG + "!", "globex": other})
    assert KEY not in str(refused.value)


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_secrets_that_are_one_to_any_algorithm_are_the_same(algorithm: str) -> None:
    long = b"longer than any block " * 8
    with pytest.raises(ConfigError, match="have the same secret"):
        Guard(SCHEME, {"acme": long, "globex": hashlib.new(algorithm, long).digest()})


def test_one_secret_for_two_tenants_is_refused_in_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, secret in {"acme": KEY, "globex": KEY, "umbrella": OTHER_KEY}.items():
        monkeypatch.setenv(f"TEST_KEY_{name}", secret)

    with pytest.raises(ConfigError, match="EnvKeys: the tenants 'acme' and 'globex' have the same secret") as refused:
        EnvKeys("TEST_KEY_{tenant}")
    assert KEY not in str(refused.value)


@pytest.mark.parametrize(
    "sources",
    [
        [{"acme": KEY}, EnvKeys],
        [EnvKeys, {"acme": KEY}],
        [{"acme": KEY}, {"globex": KEY}],
        [{"acme": KEY}, lookup, CachedKeys({"globex": KEY})],
        [{"acme": KEY}, ChainKeys({"globex": [OTHER_KEY, KEY]}, "keys of every tenant")],
    ],
    ids=["a mapping, variables", "variables, a mapping", "two mappings", "a cache", "a chain"],
)
def test_one_secret_for_two_tenants_is_refused_in_a_chain(sources: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY_globex", KEY)
    given = [source("TEST_KEY_{tenant}") if source is EnvKeys else source for source in sources]

    with pytest.raises(ConfigError, match=r"ChainKeys: the tenants '.*' and '.*' have the same secret") as refused:
        ChainKeys(*given)
    assert KEY not in str(refused.value)


def test_a_ring_that_is_never_asked_for_shares_no_secret() -> None:
    ChainKeys({"acme": KEY}, {"acme": OTHER_KEY, "globex": f"{KEY} of globex"}, {"umbrella": OTHER_KEY})


WAYS: dict[str, Callable[[Any], Any]] = {
    "alone": lambda keys: keys,
    "in a cache": CachedKeys,
    "in a chain": ChainKeys,
    "last in a chain": lambda keys: ChainKeys(lookup, keys),
    "in a chain in a cache": lambda keys: CachedKeys(ChainKeys(lookup, keys)),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("mode", ["enforce", "report", "off"])
@pytest.mark.parametrize("guard_mode", ["enforce", "report", "off"])
def test_a_mode_without_a_tenant_is_refused(way: Callable[[Any], Any], mode: Mode, guard_mode: Mode) -> None:
    with pytest.raises(ConfigError, match=f"a Keyring with mode='{mode}' is a tenant's"):
        Guard(SCHEME, way(Keyring(KEY, mode=mode)), mode=guard_mode)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("guard_mode", ["report", "off"])
def test_a_tenant_cannot_be_enforced_under_a_less_strict_guard(way: Callable[[Any], Any], guard_mode: Mode) -> None:
    rings = {"beta": Keyring(OTHER_KEY, mode="report"), "acme": Keyring(KEY, mode="enforce")}
    with pytest.raises(ConfigError, match=f"'acme' has .*mode='enforce', but the guard's mode is '{guard_mode}'"):
        Guard(SCHEME, way(rings), mode=guard_mode)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("mode", ["report", "off", None])
@pytest.mark.parametrize("guard_mode", ["enforce", "report", "off"])
def test_other_modes_of_tenants_go_with_any_guard(
    way: Callable[[Any], Any], mode: Mode | None, guard_mode: Mode
) -> None:
    Guard(SCHEME, way({"acme": Keyring(KEY, mode=mode)}), mode=guard_mode)
    Guard(SCHEME, way({"acme": Keyring(KEY, mode="enforce")}))


@pytest.mark.parametrize("mode", ["enforce", "report", "off"])
@pytest.mark.parametrize("guard_mode", ["enforce", "report", "off"])
@pytest.mark.parametrize("way", [lambda keys: keys, CachedKeys], ids=["a chain", "a chain in a cache"])
def test_the_mode_of_a_tenant_is_refused_beside_keys_for_every_tenant(
    way: Callable[[Any], Any], mode: Mode, guard_mode: Mode
) -> None:
    """Such keys prove no tenant, so the mode would not count."""
    keys = way(ChainKeys({"globex": KEY}, {"acme": Keyring(f"{KEY} of acme", mode=mode)}, OTHER_KEY))

    with pytest.raises(ConfigError, match="the tenant 'acme' has a Keyring with a mode, which does not count"):
        Guard(SCHEME, keys, mode=guard_mode)
    Guard(SCHEME, way(ChainKeys({"acme": Keyring(KEY)}, OTHER_KEY)), mode=guard_mode)


@pytest.mark.parametrize("mode", ["report", None])
def test_the_mode_of_a_ring_that_is_never_asked_for_does_not_count(mode: Mode | None) -> None:
    rings = {"acme": Keyring(KEY, mode=mode)}

    Guard(SCHEME, ChainKeys(rings, {"acme": Keyring(KEY, mode="enforce")}), mode="report")
    with pytest.raises(ConfigError, match="'acme'"):
        Guard(SCHEME, ChainKeys({"acme": Keyring(KEY, mode="enforce")}, rings), mode="report")
