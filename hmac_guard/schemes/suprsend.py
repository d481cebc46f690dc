"""SuprSend's inbox: one id, base64url.

Source: docs.suprsend.com, "HMAC authentication", and the requests of `@suprsend/react-headless` 1.2.0. The signature
travels as `subscriber_id`; the workspace key in `Authorization`, before the `:`, is whose secret it is. The `tenant_id`
that some SDKs send beside it is not signed.
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
