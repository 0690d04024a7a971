"""What operators do with stored tokens: each command of ``flask tokens``, as a function."""

from .checking import Preparation, StoreReport, check_stores, prepare_stores
from .counting import Counts, Statistics, statistics
from .health import HealthCheck
from .purging import Purge, purge
from .records import RecordDetails, StoredRecord, record_details, stored_records
from .revocation import Revocation, revoke_tokens
from .states import STATES, RecordState, access_token_end, state_of

__all__ = [
    "STATES",
    "Counts",
    "HealthCheck",
    "Preparation",
    "Purge",
    "RecordDetails",
    "RecordState",
    "Revocation",
    "Statistics",
    "StoreReport",
    "StoredRecord",
    "access_token_end",
    "check_stores",
    "prepare_stores",
    "purge",
    "record_details",
    "revoke_tokens",
    "state_of",
    "statistics",
    "stored_records",
]
