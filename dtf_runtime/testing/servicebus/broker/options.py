"""The options of a queue, with Service Bus's defaults and limits (standard tier). Times in seconds."""

from dataclasses import dataclass, replace
from typing import Any

from dtf_runtime.testing.servicebus.broker.refusals import bad_request

STATUSES = ("Active", "Disabled", "SendDisabled", "ReceiveDisabled")
LARGEST_MESSAGE = 262_144  # bytes; also of a batch, and of a session's state
_FIXED = ("requires_session", "requires_duplicate_detection")
_DAY = 86_400.0


@dataclass(frozen=True, kw_only=True)
class QueueOptions:
    """Named as the administration client names them. Refused with status 400: what Service Bus would not take."""

    lock_duration: float = 60.0
    requires_session: bool = False
    requires_duplicate_detection: bool = False
    duplicate_detection_history_time_window: float = 600.0
    default_message_time_to_live: float | None = None  # None: for ever
    dead_lettering_on_message_expiration: bool = False
    max_delivery_count: int = 10
    status: str = "Active"
    max_size_in_megabytes: int = 1_024
    enable_batched_operations: bool = True  # a hint, without effect here
    user_metadata: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.lock_duration <= 300:
            raise bad_request(f"LockDuration must be at most 5 minutes and more than 0, not {self.lock_duration} s.")
        if not 20 <= self.duplicate_detection_history_time_window <= 7 * _DAY:
            window = self.duplicate_detection_history_time_window
            raise bad_request(f"DuplicateDetectionHistoryTimeWindow must be 20 seconds to 7 days, not {window} s.")
        if self.default_message_time_to_live is not None and self.default_message_time_to_live < 1:
            raise bad_request("DefaultMessageTimeToLive must be at least 1 second.")
        if not 1 <= self.max_delivery_count <= 2**31 - 1:
            raise bad_request(f"MaxDeliveryCount must be at least 1, not {self.max_delivery_count}.")
        if not 1_024 <= self.max_size_in_megabytes <= 81_920:
            raise bad_request(f"MaxSizeInMegabytes must be 1024 to 81920, not {self.max_size_in_megabytes}.")
        if len(self.user_metadata or "") > 1_024:
            raise bad_request("UserMetadata must have at most 1024 characters.")
        if self.status not in STATUSES:
            raise bad_request(f"Status must be one of {', '.join(STATUSES)}, not {self.status!r}.")

    def changed(self, values: dict[str, Any]) -> "QueueOptions":
        """With these values instead. Refused when one of them is fixed at creation."""
        for name in _FIXED:
            if values.get(name, getattr(self, name)) != getattr(self, name):
                raise bad_request(f"{name} of a queue cannot be changed after it was created.")
        return self.with_values(values)

    def with_values(self, values: dict[str, Any]) -> "QueueOptions":
        return replace(self, **values)
