"""How long things take at this AWS, in seconds of the server's clock."""

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changed with `server.set(pending=30)`, and back at these values after each `reset()`."""

    pending: float = 3.0
    """From RunInstances and StartInstances until an instance runs."""
    stopping: float = 3.0
    shutting_down: float = 3.0
    checks: float = 5.0
    """From running until the status checks say ok."""
    agent_online: float = 4.0
    """From running until SSM can reach the instance."""
    delivery: float = 1.0
    """A command is Pending for so long."""
    command: float = 2.0
    """... and then InProgress for so long, unless its script says `sleep`."""
    consistency: float = 0.0
    """What was just made is not found yet, neither by its id nor in a list. Off unless set."""
    profile: float = 3.0
    """From the last change of an instance profile until EC2 has heard of it."""
    copying: float = 3.0
    """Until a snapshot, an image or a volume is completed or available."""
