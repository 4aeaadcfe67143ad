"""Two layers of retry, each in its place: `blips` for fractions of a second inside one activity, `DEFAULT_RETRY` for everything longer."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from connectors.core.errors import CapacityUnavailable, Throttled, Transient
from dtf_runtime import RetryPolicy
from dtf_runtime.plugins import require

_P = ParamSpec("_P")
_R = TypeVar("_R")

DEFAULT_RETRY = RetryPolicy(
    max_attempts=8,
    first_interval=1.0,
    backoff_coefficient=2.0,
    max_interval=60.0,
    jitter=0.2,
    non_retriable=(CapacityUnavailable,),
)
"""About four minutes of trying. A service's own `retry_after` wins; Permanent, Ambiguous and CapacityUnavailable are never tried again."""


def blips(call: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
    """Calls it up to three times within half a second while it is Transient or Throttled without a `retry_after`. Only where a repeat is safe,
    and in a thread: it sleeps."""
    tenacity = require("tenacity", "http")  # every connector's extra brings it

    def is_blip(error: BaseException) -> bool:
        return isinstance(error, (Transient, Throttled)) and error.retry_after is None

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(is_blip),
        stop=tenacity.stop_after_attempt(3),
        wait=tenacity.wait_random_exponential(multiplier=0.05, max=0.25),
        reraise=True,
    )
    answer: _R = retrying(call, *args, **kwargs)
    return answer
