"""Pusher's private channels: a pair of ids, hex.

Source: pusher-http-node 5.3.4. The vendor's `auth` is `{app_key}:{hex}`: give your app's key as the prefix,
`PUSHER.replace(prefix="278d425bdf160c739803:")`.
"""

from hmac_guard.core.scheme import Scheme
from hmac_guard.core.sources import Form, Json

PUSHER = Scheme(
    name="pusher",
    ids={
        "socket_id": Form("socket_id") | Json("/socket_id"),
        "channel_name": Form("channel_name") | Json("/channel_name"),
    },
    message="{socket_id}:{channel_name}",
    signature=Form("auth") | Json("/auth"),
)
