"""Counts the instructions of a webhook, through the guard and by the vendor's own library.

The guard's are those of the whole middleware: it reads headers and body, and the application gets the body again. The
library gets the header and the body as text. Standard Webhooks' library also parses the body as JSON.
"""

import base64
import json
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from benchmarks import valgrind
from benchmarks.drivers import IN_LOOP, WSGI, Interface
from benchmarks.harness import Result
from benchmarks.samples import BROWSER, SECRET, Sample
from hmac_guard import Guard, Key
from hmac_guard.schemes import STANDARD_WEBHOOKS, STRIPE

#: Bytes of the body. An event of Stripe has about three thousand.
SIZES = (1000, 3000)
WHSEC = "whsec_" + base64.b64encode(SECRET.encode()).decode()


def _body(size: int) -> bytes:
    empty = {"id": "evt_1", "object": "event", "data": ""}
    return json.dumps({**empty, "data": "x" * (size - len(json.dumps(empty)))}).encode()


def _stripe(body: bytes, now: int) -> tuple[Guard, dict[str, str], Callable[[], object]]:
    import stripe

    line = f"t={now},v1={STRIPE.sign(SECRET, timestamp=now, body=body)}"
    text = body.decode()
    verify = lambda: stripe.WebhookSignature.verify_header(text, line, SECRET, 300)  # noqa: E731
    return Guard(STRIPE, SECRET), {"stripe-signature": line}, verify


def _standard(body: bytes, now: int) -> tuple[Guard, dict[str, str], Callable[[], object]]:
    from standardwebhooks import Webhook

    library, text = Webhook(WHSEC), body.decode()
    signature = library.sign("msg_1", datetime.fromtimestamp(now, timezone.utc), text)
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(now), "webhook-signature": signature}
    return Guard(STANDARD_WEBHOOKS, Key.from_whsec(WHSEC)), headers, lambda: library.verify(text, headers)


VENDORS: dict[str, Any] = {"Stripe": _stripe, "Standard Webhooks": _standard}


def _loop(call: Callable[[], object]) -> Callable[[int], object]:
    def repeat(times: int) -> None:
        for _ in range(times):
            call()

    return repeat


def shapes() -> dict[str, Callable[[int], object]]:
    """The shapes for `benchmarks.counted`."""
    made: dict[str, Callable[[int], object]] = {}
    now = int(time.time())
    for size in SIZES:
        body = _body(size)
        for vendor, prepare in VENDORS.items():
            guard, headers, verify = prepare(body, now)
            sample = Sample(method="POST", body=body, headers=(*BROWSER, *headers.items()))
            made[f"{vendor}, {size}, library"] = _loop(verify)
            for interface in (IN_LOOP, WSGI):
                made |= _through(interface, f"{vendor}, {size}, {interface.name}", guard, sample)
    return made


def _through(interface: Interface, name: str, guard: Guard, sample: Sample) -> dict[str, Callable[[int], object]]:
    driver = interface.driver(interface.guarded(guard, interface.app), sample)
    assert driver.status() == 200
    return {name: driver.timed, f"{name}, bare": interface.driver(interface.app, sample).timed}


def run(rounds: int) -> Result:
    """Count, by valgrind; the count hardly varies."""
    if not valgrind.is_there():
        print("not run: valgrind is not installed (Debian: apt-get install valgrind)")
        return {}
    counted = valgrind.instructions("webhooks")
    result: Result = {}
    for size in SIZES:
        for vendor in VENDORS:
            library = counted[f"{vendor}, {size}, library"]
            for interface in (IN_LOOP.name, WSGI.name):
                name = f"{vendor}, {size}, {interface}"
                added = counted[name] - counted[f"{name}, bare"]
                row = f"{vendor}, a body of {size:,} bytes, {interface}"
                result[row] = {"the guard": added, "the library": library, "guard / library": added / library}
    return result
