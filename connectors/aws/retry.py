"""How activities are tried again that look for what an earlier delivery made."""

from connectors.core import CapacityUnavailable
from dtf_runtime import RetryPolicy

LOOKUP_RETRY = RetryPolicy(
    max_attempts=7,
    first_interval=5.0,  # seconds: a look that comes too soon may not see what was made, AWS's reads are eventually consistent
    backoff_coefficient=2.0,
    max_interval=60.0,
    jitter=0.2,
    non_retriable=(CapacityUnavailable,),
)
"""About four minutes of trying."""
