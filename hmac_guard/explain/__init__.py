"""Explains why a request is refused: what the guard reads, and which mistake of the signer led to the signature."""

from hmac_guard.explain.capture import Captured as Captured
from hmac_guard.explain.capture import CaptureError as CaptureError
from hmac_guard.explain.capture import capture as capture
from hmac_guard.explain.explanation import Explanation as Explanation
from hmac_guard.explain.explanation import explain as explain
from hmac_guard.explain.explanation import explain_captured as explain_captured
from hmac_guard.explain.search import KnownKeys as KnownKeys

__all__ = ["CaptureError", "Captured", "Explanation", "KnownKeys", "capture", "explain", "explain_captured"]
