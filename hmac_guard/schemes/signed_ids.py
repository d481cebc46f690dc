"""A recipe for a product of one's own: ids that are signed until a moment that is signed too."""

from collections.abc import Mapping

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.source import Source
from hmac_guard.core.sources import Header
from hmac_guard.core.times import Expires

_SIGNATURE = Header("X-Signature")


def signed_ids(
    *,
    ids: Mapping[str, Source],
    expires: Expires,
    nonce: Source | None = None,
    signature: Source = _SIGNATURE,
    tenant: Source | None = None,
    name: str = "signed_ids",
) -> Scheme:
    """A scheme that signs ids, a nonce where there is one, and the time at which the signature ends: lower-case hex of
    HMAC-SHA256.

    `ids`        each id's name and its source; they are signed in this order
    `expires`    where the end travels, and how far ahead it may be: `Expires(Query("expires"), max_lifetime=3_600)`
    `nonce`      the source of a text that differs in each request. With `single_use=` of the guard it tells two
                 requests of one user in one second apart; it is in `verdict.ids["nonce"]`
    `signature`, `tenant`, `name`  as of `Scheme`

    The parts are separated by a newline, which no id may have, so that no two sets of ids sign alike and no id is
    refused for a separator. Raises `ConfigError`.
    """
    if not isinstance(ids, Mapping) or "nonce" in ids:
        raise ConfigError(
            'signed_ids: ids map each id\'s name to its source; give the nonce as nonce=Header("X-Nonce")'
        )
    every = {**ids, **({} if nonce is None else {"nonce": nonce})}
    message = "\n".join(f"{{{part}}}" for part in (*every, "expires"))
    return Scheme(name=name, ids=every, message=message, signature=signature, expires=expires, tenant=tenant)
