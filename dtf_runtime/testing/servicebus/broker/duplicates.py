"""Duplicate detection: the message ids of a window that ends now."""

from collections import OrderedDict


class DuplicateHistory:
    """Remembers an id from its first acceptance, for one window; seeing it again does not lengthen that."""

    def __init__(self, window: float) -> None:
        self.window = window  # seconds
        self._seen: OrderedDict[object, float] = OrderedDict()  # oldest first

    def is_duplicate(self, message_id: object, now: float) -> bool:
        """Whether the id was accepted inside the window. If not, it is now."""
        self._forget(now)
        if message_id in self._seen:
            return True
        self._seen[message_id] = now
        return False

    def _forget(self, now: float) -> None:
        while self._seen:
            message_id, accepted = next(iter(self._seen.items()))
            if accepted + self.window > now:
                return
            del self._seen[message_id]
