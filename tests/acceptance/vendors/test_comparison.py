"""What docs/comparison.md says about the libraries of vendors."""

import re
import time
from importlib import metadata

import pytest
from installed import ROOT

pytestmark = pytest.mark.vendors

PAGE = (ROOT / "docs" / "comparison.md").read_text()
SIGNED_AT = str(int(time.time()))


def test_slack_sdk_raises_for_a_signature_that_is_not_ascii() -> None:
    signature = pytest.importorskip("slack_sdk.signature", reason="not run: slack_sdk is not installed")

    with pytest.raises(TypeError):
        signature.SignatureVerifier("a secret").is_valid(b"{}", SIGNED_AT, "v0=é")


def test_standardwebhooks_raises_for_an_item_without_a_comma() -> None:
    webhooks = pytest.importorskip("standardwebhooks", reason="not run: standardwebhooks is not installed")
    headers = {"webhook-id": "msg_1", "webhook-timestamp": SIGNED_AT, "webhook-signature": "v1"}

    with pytest.raises(ValueError, match="unpack") as caught:
        webhooks.Webhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").verify(b"{}", headers)
    assert not isinstance(caught.value, webhooks.WebhookVerificationError)


@pytest.mark.parametrize("name", ["slack_sdk", "standardwebhooks", "stripe"])
def test_the_page_names_a_release_that_is_not_newer(name: str) -> None:
    pytest.importorskip(name, reason=f"not run: {name} is not installed")
    [named] = re.findall(rf"`{name}` ([\d.]+\d)", PAGE)

    assert [int(part) for part in named.split(".")] <= [int(part) for part in metadata.version(name).split(".")]
