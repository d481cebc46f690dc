"""Presets: the schemes of existing products. Change a preset with `.replace(…)`."""

from hmac_guard.schemes.nango import NANGO as NANGO
from hmac_guard.schemes.nango import TERAPI as TERAPI
from hmac_guard.schemes.pusher import PUSHER as PUSHER
from hmac_guard.schemes.suprsend import SUPRSEND as SUPRSEND
from hmac_guard.schemes.user_hash import CHATWOOT as CHATWOOT
from hmac_guard.schemes.user_hash import COURIER as COURIER
from hmac_guard.schemes.user_hash import FRONT as FRONT
from hmac_guard.schemes.user_hash import HELPSCOUT as HELPSCOUT
from hmac_guard.schemes.user_hash import INTERCOM as INTERCOM
from hmac_guard.schemes.user_hash import MAGICBELL as MAGICBELL
from hmac_guard.schemes.user_hash import NOVU as NOVU
from hmac_guard.schemes.user_hash import user_hash as user_hash

__all__ = [
    "CHATWOOT",
    "COURIER",
    "FRONT",
    "HELPSCOUT",
    "INTERCOM",
    "MAGICBELL",
    "NANGO",
    "NOVU",
    "PUSHER",
    "SUPRSEND",
    "TERAPI",
    "user_hash",
]
