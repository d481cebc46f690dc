"""Presets: the schemes of existing products. Change a preset with `.replace(…)`."""

from hmac_guard.schemes.ids import CHATWOOT as CHATWOOT
from hmac_guard.schemes.ids import COURIER as COURIER
from hmac_guard.schemes.ids import FRONT as FRONT
from hmac_guard.schemes.ids import HELPSCOUT as HELPSCOUT
from hmac_guard.schemes.ids import INTERCOM as INTERCOM
from hmac_guard.schemes.ids import MAGICBELL as MAGICBELL
from hmac_guard.schemes.ids import NANGO as NANGO
from hmac_guard.schemes.ids import NOVU as NOVU
from hmac_guard.schemes.ids import PUSHER as PUSHER
from hmac_guard.schemes.ids import SUPRSEND as SUPRSEND
from hmac_guard.schemes.ids import TERAPI as TERAPI
from hmac_guard.schemes.ids import signed_ids as signed_ids
from hmac_guard.schemes.ids import user_hash as user_hash
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
