"""What the server saw: every request, and whether it was really executed."""

from typing import Any

import msgspec


class Call(msgspec.Struct, kw_only=True):
    service: str
    operation: str
    region: str
    parameters: dict[str, Any]
    """As on the wire; see `wire.Request`."""
    actions: list[str]
    """IAM's names of what the caller had to be allowed to do, such as `ec2:RunInstances`."""
    access_key: str = ""
    status: int = 0
    """The HTTP status of the answer, 0 when the connection was cut."""
    executed: bool = False
    """moto did it, with success: not refused by a behaviour, not replayed by a token."""

    @property
    def name(self) -> str:
        return f"{self.service}:{self.operation}"

    @property
    def action(self) -> str:
        return self.actions[0] if self.actions else self.name
