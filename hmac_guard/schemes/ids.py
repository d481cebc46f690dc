"""Presets and recipes for requests whose ids are signed."""

from collections.abc import Mapping

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.source import Source
from hmac_guard.core.sources import Form, Header, Json, Path, Query
from hmac_guard.core.strict import strict
from hmac_guard.core.times import Expires

# Nango and Terapi: a pair of ids, hex.
#
# Source: the routes that `@nangohq/frontend` 0.36 and 0.71 call, and NangoHQ/nango `packages/server/lib/utils/hmac.ts`.
#
# Two rules are stricter than the vendor's:
#
# - Both ids are required. The vendor also signs the integration id alone, if there is no connection id. That signature
#   would be a credential for every connection of the integration, on every route that the guard covers. If your
#   application needs the vendor's rule, use `NANGO.replace(optional={"connection_id"})`.
# - An integration id that contains `:` is refused: ("a:b", "c") and ("a", "b:c") would have the same signature.
NANGO = Scheme(
    name="nango",
    ids={
        "integration_id": Path(
            "/oauth/connect/{integration_id}",
            "/oauth2/auth/{integration_id}",
            "/api-auth/{kind}/{integration_id}",
            "/auth/{kind}/{integration_id}",
            "/unauth/{integration_id}",
            "/app-store-auth/{integration_id}",
        )
        | Query("integration_id")
        | Json("/integration_id"),
        "connection_id": Query("connection_id") | Json("/connection_id"),
    },
    message="{integration_id}:{connection_id}",
    signature=Query("hmac") | Json("/hmac"),
    tenant=Query("public_key") | Json("/public_key"),
)

TERAPI = NANGO.replace(name="terapi")

# Pusher's private channels: a pair of ids, hex.
#
# Source: pusher-http-node 5.3.4. The vendor's `auth` is `{app_key}:{hex}`: give your app's key as the prefix,
# `PUSHER.replace(prefix="278d425bdf160c739803:")`.
PUSHER = Scheme(
    name="pusher",
    ids={
        "socket_id": Form("socket_id") | Json("/socket_id"),
        "channel_name": Form("channel_name") | Json("/channel_name"),
    },
    message="{socket_id}:{channel_name}",
    signature=Form("auth") | Json("/auth"),
)

# SuprSend's inbox: one id, base64url.
#
# Source: docs.suprsend.com, "HMAC authentication", and the requests of `@suprsend/react-headless` 1.2.0. The signature
# is sent as `subscriber_id`. The workspace key in `Authorization`, before the `:`, names the tenant. Some SDKs also
# send a `tenant_id`: it is not signed.
SUPRSEND = Scheme(
    name="suprsend",
    ids={"distinct_id": Query("distinct_id") | Json("/distinct_id")},
    message="{distinct_id}",
    signature=Query("subscriber_id") | Json("/subscriber_id"),
    encoding="base64url",
    tenant=Header("Authorization", before=":"),
)


@strict
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


# The method of about twenty products: the backend signs one id, and the browser sends the id and the hash.
#
# Sources: the vendors' documentation of identity verification (Intercom, Help Scout, Front), intercom-rails, the code
# of Chatwoot, `@novu/js` 3.19, courier-react, `magicbell` 4.5 (npm). If a widget gets the fields in its settings, the
# preset reads them from query and JSON body, under the vendor's names.
#
# Intercom and Chatwoot sign a number as its digits, and their widgets send it as a number.

#: intercom-rails signs `user_id` if there is one. For users who have only an e-mail address:
#: `INTERCOM.replace(ids={"id": Query("email") | Json("/email")})`.
INTERCOM = user_hash(
    name="intercom",
    id=Query("user_id") | Json("/user_id", allow_int=True),
    signature=Query("user_hash") | Json("/user_hash"),
)

#: The widget sends the token in the query.
CHATWOOT = user_hash(
    name="chatwoot",
    id=Json("/identifier", allow_int=True),
    signature=Json("/identifier_hash"),
    tenant=Query("website_token") | Json("/website_token"),
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

#: `userEmail` is the name in the vendor's code for the backend, `email` the one in its widget.
FRONT = user_hash(
    name="front",
    id=Query("email") | Json("/email") | Query("userEmail") | Json("/userEmail"),
    signature=Query("userHash") | Json("/userHash"),
)

COURIER = user_hash(
    name="courier",
    id=Header("X-Courier-User-Id"),
    signature=Header("X-Courier-User-Signature"),
    tenant=Header("X-Courier-Client-Key"),
)

#: The signature does not say which of the two it is for. If users can choose their external id, one may take the e-mail
#: address of another. Then read one header alone: `MAGICBELL.replace(ids={"id": Header("X-MagicBell-User-Email")})`.
MAGICBELL = user_hash(
    name="magicbell",
    id=Header("X-MagicBell-User-External-Id") | Header("X-MagicBell-User-Email"),
    signature=Header("X-MagicBell-User-Hmac"),
    tenant=Header("X-MagicBell-Api-Key"),
).replace(encoding="base64")

_SIGNATURE = Header("X-Signature")


@strict
def signed_ids(
    *,
    ids: Mapping[str, Source],
    expires: Expires,
    nonce: Source | None = None,
    signature: Source = _SIGNATURE,
    tenant: Source | None = None,
    name: str = "signed_ids",
) -> Scheme:
    """Return a scheme that signs ids, an optional nonce, and the time at which the signature ends.

    The signature is the HMAC-SHA256 as lower-case hex. A newline, which no id may contain, separates the parts. So no
    two sets of ids have the same message, and no id is refused for a separator. The names of the ids are not signed:
    give each scheme its own keys, since a signature for one scheme is also valid for another one with the same key.

    Args:
        ids: The source of each id by its name. They are signed in this order.
        expires: Where the end is sent, and how far ahead it may be: `Expires(Query("expires"), max_lifetime=3_600)`.
        nonce: The source of a text that differs in each request. With the guard's `single_use`, it distinguishes two
            requests of one user in the same second. It is in `verdict.ids["nonce"]`.
        signature: Where the signature is sent.
        tenant: Where the tenant is sent, if each tenant has its own secret.
        name: The name of the scheme, for logs and verdicts.

    Raises:
        ConfigError: An argument is not valid.
    """
    if not isinstance(ids, Mapping) or "nonce" in ids:
        raise ConfigError(
            'signed_ids: ids map each id\'s name to its source; give the nonce as nonce=Header("X-Nonce")'
        )
    every = {**ids, **({} if nonce is None else {"nonce": nonce})}
    message = "\n".join(f"{{{part}}}" for part in (*every, "expires"))
    return Scheme(name=name, ids=every, message=message, signature=signature, expires=expires, tenant=tenant)
