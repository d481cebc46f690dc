"""The plugin for pytest: the fixtures `signed_client`, `sign_request` and `guard_clock`.

It imports nothing of the package until a test uses one of them, has no options and sets no warning filter.
"""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from hmac_guard.core.fields import SignedFields
    from hmac_guard.testing import Clock


@pytest.fixture
def signed_client() -> "Callable[..., Any]":
    """`hmac_guard.testing.signed_client`: a copy of a test client that signs each request."""
    from hmac_guard.testing import signed_client

    return signed_client


@pytest.fixture
def sign_request() -> "Callable[..., SignedFields]":
    """`hmac_guard.testing.sign_request`: everything that a signed request carries."""
    from hmac_guard.testing import sign_request

    return sign_request


@pytest.fixture
def guard_clock() -> "Clock":
    """`hmac_guard.testing.Clock`: a clock to give to a guard, which stands still until the test sets it."""
    from hmac_guard.testing import Clock

    return Clock()
