"""The recipe that some twenty products share: the backend signs one id, the browser sends id and hash.

Sources: the vendors' documentation of identity verification (Intercom, Help Scout, Front), intercom-rails, Chatwoot's
widget API, `@novu/js` 3.19, courier-react, `magicbell` 4.5 (npm). Where a widget's own settings carry the fields, the
preset looks for them under the vendor's names in query and JSON body.
"""

from hmac_guard.core.scheme import Scheme
from hmac_guard.core.source import Source
from hmac_guard.core.sources import Header, Json, Query


def user_hash(*, id: Source, signature: Source, name: str = "user_hash", tenant: Source | None = None) -> Scheme:
    """A scheme that signs one id, alone: lower-case hex of HMAC-SHA256 over its text. The id is called `id`.

    `id` and `signature` are sources, `tenant` too, where each customer has a secret of its own. Change the rest with
    `.replace(encoding="base64")` and the like. Raises `ConfigError`.
    """
    return Scheme(name=name, ids={"id": id}, message="{id}", signature=signature, tenant=tenant)


#: intercom-rails: `user_id` is signed where there is one. For users who have only an e-mail address:
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

#: The id's older place is the top level of the body.
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
