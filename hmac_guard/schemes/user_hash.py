"""The method of about twenty products: the backend signs one id, and the browser sends the id and the hash.

Sources: the vendors' documentation of identity verification (Intercom, Help Scout, Front), intercom-rails, Chatwoot's
widget API, `@novu/js` 3.19, courier-react, `magicbell` 4.5 (npm). If a widget
gets the fields in its settings, the preset reads them from query and JSON body, under the vendor's names.
"""

from hmac_guard.core.scheme import Scheme
from hmac_guard.core.source import Source
from hmac_guard.core.sources import Header, Json, Query


def user_hash(*, id: Source, signature: Source, name: str = "user_hash", tenant: Source | None = None) -> Scheme:
    """Return a scheme that signs one id: HMAC-SHA256 of its text, as lower-case hex.

    Args:
        id: Where the id is sent. In the verdict the id is called `id`.
        signature: Where the signature is sent.
        name: The name of the scheme, for logs and verdicts.
        tenant: Where the tenant is sent, if each tenant has its own secret.

    Returns:
        The scheme. Change it with `.replace(…)`, for example `.replace(encoding="base64")`.

    Raises:
        ConfigError: An argument is not valid.
    """
    return Scheme(name=name, ids={"id": id}, message="{id}", signature=signature, tenant=tenant)


#: intercom-rails signs `user_id` if there is one. For users who have only an e-mail address:
#: `INTERCOM.replace(ids={"id": Query("email") | Json("/email")})`.
INTERCOM = user_hash(
    name="intercom",
    id=Query("user_id") | Json("/user_id"),
    signature=Query("user_hash") | Json("/user_hash"),
)

CHATWOOT = user_hash(
    name="chatwoot",
    id=Json("/identifier"),
    signature=Json("/identifier_hash"),
    tenant=Json("/website_token"),
)

#: Older versions send the id at the top level of the body.
NOVU = user_hash(
    name="novu",
    id=Json("/subscriber/subscriberId") | Json("/subscriberId"),
    signature=Json("/subscriberHash"),
    tenant=Json("/applicationIdentifier"),
)

HELPSCOUT = user_hash(
    name="helpscout",
    id=Query("email") | Json("/email"),
    signature=Query("signature") | Json("/signature"),
)

FRONT = user_hash(
    name="front",
    id=Query("userEmail") | Json("/userEmail"),
    signature=Query("userHash") | Json("/userHash"),
)

COURIER = user_hash(
    name="courier",
    id=Header("X-Courier-User-Id"),
    signature=Header("X-Courier-User-Signature"),
    tenant=Header("X-Courier-Client-Key"),
)

MAGICBELL = user_hash(
    name="magicbell",
    id=Header("X-MagicBell-User-External-Id") | Header("X-MagicBell-User-Email"),
    signature=Header("X-MagicBell-User-Hmac"),
    tenant=Header("X-MagicBell-Api-Key"),
).replace(encoding="base64")
