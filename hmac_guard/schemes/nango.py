"""Nango and Terapi: a pair of ids, hex.

Source: the routes that `@nangohq/frontend` 0.36 and 0.71 call, and NangoHQ/nango `packages/server/lib/utils/hmac.ts`.

Two rules are stricter than the vendor's:

- Both ids are required. The vendor also signs the integration id alone, if there is no connection id. That signature
  would be a credential for every connection of the integration, on every route that the guard covers. If your
  application needs the vendor's rule, use `NANGO.replace(optional={"connection_id"})`.
- An integration id that contains `:` is refused: ("a:b", "c") and ("a", "b:c") would have the same signature.
"""

from hmac_guard.core.scheme import Scheme
from hmac_guard.core.sources import Json, Path, Query

NANGO = Scheme(
    name="nango",
    ids={
        "integration_id": Path(
            "/oauth/connect/{integration_id}",
            "/oauth2/auth/{integration_id}",
            "/api-auth/{kind}/{integration_id}",
            "/auth/{kind}/{integration_id}",
            "/unauth/{integration_id}",
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
