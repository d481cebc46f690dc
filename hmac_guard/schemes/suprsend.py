"""SuprSend's inbox: one id, base64url.

Source: docs.suprsend.com, "HMAC authentication", and the requests of `@suprsend/react-headless` 1.2.0. The signature
is sent as `subscriber_id`. The workspace key in `Authorization`, before the `:`, names the tenant. Some SDKs also send
a `tenant_id`: it is not signed.
"""

from hmac_guard.core.scheme import Scheme
from hmac_guard.core.sources import Header, Json, Query

SUPRSEND = Scheme(
    name="suprsend",
    ids={"distinct_id": Query("distinct_id") | Json("/distinct_id")},
    message="{distinct_id}",
    signature=Query("subscriber_id") | Json("/subscriber_id"),
    encoding="base64url",
    tenant=Header("Authorization", before=":"),
)
