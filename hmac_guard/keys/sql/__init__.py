"""Keys in a database, and what an operator does with them. Needs the extra `sql`."""

from hmac_guard.keys.sql.counts import VerdictCounts as VerdictCounts
from hmac_guard.keys.sql.ledger import Readiness as Readiness
from hmac_guard.keys.sql.ledger import VerdictLedger as VerdictLedger
from hmac_guard.keys.sql.resolver import SqlKeys as SqlKeys
from hmac_guard.keys.sql.table import NewKey as NewKey
from hmac_guard.keys.sql.table import StoredKey as StoredKey

__all__ = ["NewKey", "Readiness", "SqlKeys", "StoredKey", "VerdictCounts", "VerdictLedger"]
