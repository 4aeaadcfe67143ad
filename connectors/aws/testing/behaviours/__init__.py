"""What moto leaves out, one module a group; the table is in the package's README."""

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from connectors.aws.testing.answers import Answer
from connectors.aws.testing.wire import Request

if TYPE_CHECKING:
    from connectors.aws.testing.world import World


class Behaviour:
    """Something AWS does. It sees each request before moto and each answer after, one request at a time."""

    HOLDS: ClassVar[tuple[str, ...]] = ()
    """Attributes that belong to the state of the account."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.reset()

    def before(self, request: Request) -> Answer | None:
        """What the client gets instead of moto's answer; None to go on."""
        return None

    def after(self, request: Request, answer: Answer) -> Answer:
        """moto's answer, or another for the client."""
        return answer

    def reset(self) -> None:
        """Forget everything."""


Make = Callable[["World"], Behaviour]
