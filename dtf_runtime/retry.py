"""RetryPolicy: when a failed activity or child is tried again.

Data only, checked when it is made. It must never decide by itself: a verdict is computed once, where it is stored.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dtf_runtime.checks import check_count, is_number
from dtf_runtime.errors import Duration, FailureDetails, InvalidArgumentError, seconds


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """Attempt n (from 1) is followed by a wait of min(first_interval * backoff_coefficient ** (n - 1), max_interval).

    The wait is a durable timer, times 1 +- jitter (0 to 1); a failure's own `retry_after` wins. No attempt starts after
    `timeout`, counted from the first schedule. `retry_if` is run once, live; its verdict is stored. When both are
    given, `retry_if` and `non_retriable` (classes, or qualified or last names) must both allow another attempt.
    Intervals are timedeltas or seconds. Raises InvalidArgumentError.
    """

    max_attempts: int = 3
    first_interval: Duration = 1.0
    backoff_coefficient: float = 2.0
    max_interval: Duration | None = None
    timeout: Duration | None = None
    jitter: float = 0.0
    retry_if: Callable[[FailureDetails], bool] | None = None
    non_retriable: tuple[type[BaseException] | str, ...] = ()

    def __post_init__(self) -> None:
        check_count(self.max_attempts, "RetryPolicy.max_attempts")
        seconds(self.first_interval, "RetryPolicy.first_interval")
        if self.max_interval is not None:
            seconds(self.max_interval, "RetryPolicy.max_interval")
        if self.timeout is not None:
            seconds(self.timeout, "RetryPolicy.timeout")
        if not is_number(self.backoff_coefficient) or not 1 <= self.backoff_coefficient < float("inf"):
            raise InvalidArgumentError(
                f"RetryPolicy.backoff_coefficient must be a number from 1, not {self.backoff_coefficient!r}"
            )
        if not is_number(self.jitter) or not 0 <= self.jitter <= 1:
            raise InvalidArgumentError(f"RetryPolicy.jitter must be from 0 to 1, not {self.jitter!r}")
        if self.retry_if is not None and not callable(self.retry_if):
            raise InvalidArgumentError(f"RetryPolicy.retry_if must be a function, not {self.retry_if!r}")
        if not isinstance(self.non_retriable, tuple):
            raise InvalidArgumentError(
                f"RetryPolicy.non_retriable must be a tuple, such as (ValueError,), not {self.non_retriable!r}"
            )
        for kind in self.non_retriable:
            if not isinstance(kind, str) and not (isinstance(kind, type) and issubclass(kind, BaseException)):
                raise InvalidArgumentError(
                    f"RetryPolicy.non_retriable takes exception classes and their names, not {kind!r}"
                )


def check_retry(retry: Any) -> RetryPolicy | None:
    """A RetryPolicy or None, else InvalidArgumentError."""
    if retry is not None and not isinstance(retry, RetryPolicy):
        raise InvalidArgumentError(f"retry must be a RetryPolicy or None, not {retry!r}")
    return retry
