"""The guards of this suite. Which one stands in front is said by the header `X-Guard`; without it, all is guarded."""

from base64 import b64encode

from orders import KEY

from hmac_guard import Cookie, Guard, Header, Json, Key, Path, Query, Scheme
from hmac_guard.schemes import STANDARD_WEBHOOKS, STRIPE

#: Names the file in which the application writes down each request that reaches it.
RECORD = "HMAC_GUARD_TEST_RECORD"
#: The guard that is none: what the server and the application do by themselves.
BARE = "bare"

_LINE = Scheme(
    name="line",
    ids={"id": Path("/p/{id}/c") | Query("a") | Header("X-Id") | Cookie("a")},
    message="{id}",
    signature=Query("sig") | Header("X-Sig"),
)
_BODY = Scheme(name="body", ids={"id": Json("/id")}, message="{id}", signature=Json("/sig"))

#: The Unix time at which the guards of the webhooks stand still, so that the golden files hold on each day.
NOW = 1_800_000_000
#: These guards verify a time and the raw body: all items of one header, or the time and the id in headers of their own.
ITEMS, OWN_HEADERS = "items", "own-headers"
WEBHOOKS = (ITEMS, OWN_HEADERS)

GUARDS = {
    "all": Guard(_LINE, KEY),
    "exempt": Guard(_LINE, KEY, exempt=("/health", "/static/")),
    "only": Guard(_LINE, KEY, only=("/admin", "/p/", "/x")),
    "body": Guard(_BODY, KEY),
    ITEMS: Guard(STRIPE, KEY, clock=lambda: NOW),
    OWN_HEADERS: Guard(
        STANDARD_WEBHOOKS, Key.from_whsec(f"whsec_{b64encode(KEY.encode()).decode()}"), clock=lambda: NOW
    ),
}
