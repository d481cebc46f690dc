"""The guards of this suite. Which one stands in front is said by the header `X-Guard`; without it, all is guarded."""

from orders import KEY

from hmac_guard import Cookie, Guard, Header, Json, Path, Query, Scheme

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

GUARDS = {
    "all": Guard(_LINE, KEY),
    "exempt": Guard(_LINE, KEY, exempt=("/health", "/static/")),
    "only": Guard(_LINE, KEY, only=("/admin", "/p/", "/x")),
    "body": Guard(_BODY, KEY),
}
