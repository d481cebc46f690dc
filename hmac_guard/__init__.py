"""A request proves that its ids were signed, before the application sees it. Start at `Guard`."""

from hmac_guard.core.errors import ConfigError as ConfigError
from hmac_guard.core.errors import KeysUnavailable as KeysUnavailable
from hmac_guard.core.errors import WeakKeyWarning as WeakKeyWarning
from hmac_guard.core.fields import SignedFields as SignedFields
from hmac_guard.core.key import Key as Key
from hmac_guard.core.key import Keyring as Keyring
from hmac_guard.core.scheme import Scheme as Scheme
from hmac_guard.core.sources import Cookie as Cookie
from hmac_guard.core.sources import Form as Form
from hmac_guard.core.sources import Header as Header
from hmac_guard.core.sources import Json as Json
from hmac_guard.core.sources import Path as Path
from hmac_guard.core.sources import Query as Query
from hmac_guard.core.times import Expires as Expires
from hmac_guard.core.times import Timestamp as Timestamp
from hmac_guard.core.verdict import Claim as Claim
from hmac_guard.core.verdict import Decision as Decision
from hmac_guard.core.verdict import Reason as Reason
from hmac_guard.core.verdict import Verdict as Verdict
from hmac_guard.core.verdict import verdict_from as verdict_from
from hmac_guard.guard import Guard as Guard

__all__ = [
    "Claim",
    "ConfigError",
    "Cookie",
    "Decision",
    "Expires",
    "Form",
    "Guard",
    "Header",
    "Json",
    "Key",
    "Keyring",
    "KeysUnavailable",
    "Path",
    "Query",
    "Reason",
    "Scheme",
    "SignedFields",
    "Timestamp",
    "Verdict",
    "WeakKeyWarning",
    "verdict_from",
]
