"""Nango and Terapi: a pair of ids, hex.

Source: the routes that `@nangohq/frontend` 0.36 and 0.71 call, and NangoHQ/nango `packages/server/lib/utils/hmac.ts`.
Without a connection id the vendor signs the integration id alone. Unlike the vendor, an integration id with a `:` is
refused: ("a:b", "c") and ("a", "b:c") would share a signature.
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
    optional={"connection_id"},
    signature=Query("hmac") | Json("/hmac"),
    tenant=Query("public_key") | Json("/public_key"),
)

TERAPI = NANGO.replace(name="terapi")
