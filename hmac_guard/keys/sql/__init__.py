"""Keys in a database, and what an operator does with them. Needs the extra `sql`."""

from hmac_guard.keys.sql.counts import VerdictCounts as VerdictCounts
from hmac_guard.keys.sql.ledger import Readiness as Readiness
from hmac_guard.keys.sql.ledger import VerdictLedger as VerdictLedger
from hmac_guard.keys.sql.listing import AuditEntry as AuditEntry
from hmac_guard.keys.sql.listing import NewKey as NewKey
from hmac_guard.keys.sql.listing import StoredKey as StoredKey
from hmac_guard.keys.sql.listing import StoredTenant as StoredTenant
from hmac_guard.keys.sql.refusals import Refusal as Refusal
from hmac_guard.keys.sql.resolver import SqlKeys as SqlKeys
from hmac_guard.keys.sql.tables import metadata as metadata

__all__ = [
    "AuditEntry",
    "NewKey",
    "Readiness",
    "Refusal",
    "SqlKeys",
    "StoredKey",
    "StoredTenant",
    "VerdictCounts",
    "VerdictLedger",
    "metadata",
]
