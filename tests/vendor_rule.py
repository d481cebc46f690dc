"""Nango's preset with the rule of the vendor: without a connection id, the integration id alone is signed."""

from hmac_guard.schemes import NANGO

VENDOR_NANGO = NANGO.replace(optional={"connection_id"})
