"""What operators do with stored tokens: each command of ``flask tokens``, as a function."""

from .checking import Preparation, StoreReport, check_stores, prepare_stores
from .health import HealthCheck

__all__ = ["HealthCheck", "Preparation", "StoreReport", "check_stores", "prepare_stores"]
