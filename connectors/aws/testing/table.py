"""Which behaviours there are, in the order in which they are asked."""

from connectors.aws.testing.behaviours import Behaviour, Make
from connectors.aws.testing.behaviours.consistency import Consistency
from connectors.aws.testing.behaviours.copies import Copies
from connectors.aws.testing.behaviours.dependencies import Dependencies
from connectors.aws.testing.behaviours.instances import Instances
from connectors.aws.testing.behaviours.references import OwnPolicies, Profiles, References
from connectors.aws.testing.behaviours.refusals import Capacity, Credentials, Throttling
from connectors.aws.testing.behaviours.repeats import Repeats
from connectors.aws.testing.behaviours.ssm import RunCommand
from connectors.aws.testing.behaviours.storage import Storage
from connectors.aws.testing.behaviours.tokens import Tokens
from connectors.aws.testing.world import World

_ALL: tuple[Make, ...] = (
    Credentials,
    Throttling,
    Tokens,  # a known token is answered before anything is judged
    Consistency,
    References,
    OwnPolicies,
    Profiles,
    Repeats,
    Capacity,
    Dependencies,
    Instances,
    Copies,
    Storage,
    RunCommand,
)


def behaviours(world: World) -> tuple[Behaviour, ...]:
    return tuple(make(world) for make in _ALL)
