"""Presets: the schemes of existing products. Change a preset with `.replace(…)`."""

from hmac_guard.schemes.nango import NANGO as NANGO
from hmac_guard.schemes.nango import TERAPI as TERAPI
from hmac_guard.schemes.pusher import PUSHER as PUSHER
from hmac_guard.schemes.signed_ids import signed_ids as signed_ids
from hmac_guard.schemes.suprsend import SUPRSEND as SUPRSEND
from hmac_guard.schemes.user_hash import CHATWOOT as CHATWOOT
from hmac_guard.schemes.user_hash import COURIER as COURIER
from hmac_guard.schemes.user_hash import FRONT as FRONT
from hmac_guard.schemes.user_hash import HELPSCOUT as HELPSCOUT
from hmac_guard.schemes.user_hash import INTERCOM as INTERCOM
from hmac_guard.schemes.user_hash import MAGICBELL as MAGICBELL
from hmac_guard.schemes.user_hash import NOVU as NOVU
from hmac_guard.schemes.user_hash import user_hash as user_hash
from hmac_guard.schemes.webhooks import GITHUB as GITHUB
from hmac_guard.schemes.webhooks import PADDLE as PADDLE
from hmac_guard.schemes.webhooks import SHOPIFY as SHOPIFY
from hmac_guard.schemes.webhooks import SLACK as SLACK
from hmac_guard.schemes.webhooks import STANDARD_WEBHOOKS as STANDARD_WEBHOOKS
from hmac_guard.schemes.webhooks import STRIPE as STRIPE
from hmac_guard.schemes.webhooks import SVIX as SVIX
from hmac_guard.schemes.webhooks import raw_body as raw_body

__all__ = [
    "CHATWOOT",
    "COURIER",
    "FRONT",
    "GITHUB",
    "HELPSCOUT",
    "INTERCOM",
    "MAGICBELL",
    "NANGO",
    "NOVU",
    "PADDLE",
    "PUSHER",
    "SHOPIFY",
    "SLACK",
    "STANDARD_WEBHOOKS",
    "STRIPE",
    "SUPRSEND",
    "SVIX",
    "TERAPI",
    "raw_body",
    "signed_ids",
    "user_hash",
]
