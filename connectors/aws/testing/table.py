"""Which behaviours there are, in the order in which they are asked."""

from connectors.aws.testing.behaviours import Behaviour, Make
from connectors.aws.testing.world import World

_ALL: tuple[Make, ...] = ()


def behaviours(world: World) -> tuple[Behaviour, ...]:
    return tuple(make(world) for make in _ALL)
