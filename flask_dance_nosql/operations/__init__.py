"""What operators do with stored tokens: each command of ``flask tokens``, as a function."""

from .checking import Preparation, StoreReport, check_stores, prepare_stores
from .comparing import Compared, compare_tokens
from .copying import Copied, copy_tokens
from .counting import Counts, Statistics, statistics
from .due import KeptFresh
from .found import LeftRecord, LeftRecords
from .health import HealthCheck
from .keeping import keep_fresh
from .observing import LogMetrics, observe
from .purging import Purge, purge
from .records import RecordDetails, StoredRecord, record_details, stored_records
from .resealing import Resealed, reseal, reseal_file
from .revocation import Revocation, revoke_tokens
from .states import STATES, RecordState, access_token_end, state_of

__all__ = [
    "STATES",
    "Compared",
    "Copied",
    "Counts",
    "HealthCheck",
    "KeptFresh",
    "LeftRecord",
    "LeftRecords",
    "LogMetrics",
    "Preparation",
    "Purge",
    "RecordDetails",
    "RecordState",
    "Resealed",
    "Revocation",
    "Statistics",
    "StoreReport",
    "StoredRecord",
    "access_token_end",
    "check_stores",
    "compare_tokens",
    "copy_tokens",
    "keep_fresh",
    "observe",
    "prepare_stores",
    "purge",
    "record_details",
    "reseal",
    "reseal_file",
    "revoke_tokens",
    "state_of",
    "statistics",
    "stored_records",
]
