"""Presets for webhooks: the vendor signs the raw body, and usually the time of sending.

Sources: standardwebhooks.com and the libraries of Standard Webhooks 1.1 and Svix 2.9; docs.github.com, "Validating
webhook deliveries"; docs.stripe.com, "Verify webhook signatures manually", and stripe-python 16; docs.slack.dev,
"Verifying requests from Slack"; shopify.dev, "Verify webhooks"; developer.paddle.com, "Signature verification". What a
vendor's own library accepts beyond the rule (a time that is a fraction, `sha1=`, text that is not UTF-8, the first or
the last of two times) is refused.

The time of Stripe and Paddle is checked on both sides, though their libraries look only for one that is too old.
"""

from hmac_guard.core.encodings import Encoding
from hmac_guard.core.key import Key
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.sources import Header
from hmac_guard.core.strict import strict
from hmac_guard.core.times import Timestamp


class WhsecScheme(Scheme):
    """A scheme whose keys are written `whsec_…` and used decoded. Used as text, such a key verifies nothing."""

    def fault_of_key(self, key: Key) -> str | None:
        if key.begins_with(b"whsec_"):
            return (
                f"a key of the scheme {self.name!r} begins with 'whsec_' and is used as text; make it with "
                'Key.from_whsec, or read it with form="whsec"'
            )
        return None


def _standard(name: str, prefix: str) -> Scheme:
    return WhsecScheme(
        name=name,
        ids={"message_id": Header(f"{prefix}-id")},
        message="{message_id}.{timestamp}.{@body}",
        signature=Header(f"{prefix}-signature").item("v1", separators=(" ", ",")),
        encoding="base64",
        timestamp=Timestamp(Header(f"{prefix}-timestamp"), max_age=300, leeway=300),
    )


#: Keys: `Key.from_whsec`, or form "whsec". OpenAI, Replicate, Render and GitLab's signing tokens use it.
STANDARD_WEBHOOKS = _standard("standard_webhooks", "webhook")

#: The same with Svix's own header names. Resend and Clerk use it.
SVIX = _standard("svix", "svix")


@strict
def raw_body(*, header: str, encoding: Encoding = "hex", prefix: str = "", name: str = "raw_body") -> Scheme:
    """Return a scheme that signs the raw body alone, as Linear, Lemon Squeezy, Dropbox, Sentry and Meta do.

    The signature does not expire: a client that has seen such a request can send it again. An empty body is refused.

    Args:
        header: The name of the header with the signature.
        encoding: The encoding of the signature: "hex", "base64" or "base64url".
        prefix: The fixed text before the digest, without a comma.
        name: The name of the scheme, for logs and verdicts.

    Raises:
        ConfigError: An argument is not valid.
    """
    return Scheme(name=name, ids={}, message="{@body}", signature=Header(header), encoding=encoding, prefix=prefix)


GITHUB = raw_body(name="github", header="X-Hub-Signature-256", prefix="sha256=")

#: For the newer "events" webhooks: `raw_body(header="Shopify-Hmac-Sha256", encoding="base64")`.
SHOPIFY = raw_body(name="shopify", header="X-Shopify-Hmac-Sha256", encoding="base64")

#: The key is the text `whsec_…` as it stands: never `Key.from_whsec`.
STRIPE = Scheme(
    name="stripe",
    ids={},
    message="{timestamp}.{@body}",
    signature=Header("Stripe-Signature").item("v1", separators=(",", "=")),
    timestamp=Timestamp(Header("Stripe-Signature").item("t", separators=(",", "=")), max_age=300, leeway=60),
)

PADDLE = Scheme(
    name="paddle",
    ids={},
    message="{timestamp}:{@body}",
    signature=Header("Paddle-Signature").item("h1", separators=(";", "=")),
    timestamp=Timestamp(Header("Paddle-Signature").item("ts", separators=(";", "=")), max_age=300, leeway=60),
)

SLACK = Scheme(
    name="slack",
    ids={},
    message="v0:{timestamp}:{@body}",
    signature=Header("X-Slack-Signature"),
    prefix="v0=",
    timestamp=Timestamp(Header("X-Slack-Request-Timestamp"), max_age=300, leeway=300),
)
