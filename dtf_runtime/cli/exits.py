"""What a script can rely on: one exit code for each way a command can end. Changing a number here breaks other
people's scripts.
"""

from enum import IntEnum

from dtf_runtime import (
    DefinitionNotFoundError,
    DuplicateDefinitionError,
    DurableTaskError,
    InstanceNotFoundError,
    InvalidArgumentError,
    InvalidStateError,
    OrchestrationAlreadyExistsError,
    OrchestrationCancelledError,
    OrchestrationFailedError,
    OrchestrationTerminatedError,
    OutsideActivityError,
    OutsideOrchestrationError,
    SerializationError,
)


class Exit(IntEnum):
    OK = 0
    FAILED = 1  # the orchestration failed, or was terminated or cancelled; `doctor` found a problem
    USAGE = 2  # wrong options or input; nothing was sent to the hub
    NOT_FOUND = 3  # no such instance, hub, recipe or definition
    CONFLICT = 4  # it exists already, or its state does not allow this
    HUB = 5  # the hub could not be read or written
    BUG = 70  # an error that `dtf` did not expect: a defect worth reporting
    TIMED_OUT = 124
    INTERRUPTED = 130  # Ctrl-C
    STOPPED = 143  # SIGTERM


_CODES: tuple[tuple[tuple[type[BaseException], ...], Exit], ...] = (
    ((InstanceNotFoundError, DefinitionNotFoundError), Exit.NOT_FOUND),
    ((OrchestrationAlreadyExistsError, InvalidStateError, FileExistsError), Exit.CONFLICT),
    ((InvalidArgumentError, SerializationError, DuplicateDefinitionError), Exit.USAGE),
    ((OutsideOrchestrationError, OutsideActivityError), Exit.USAGE),
    ((OrchestrationFailedError, OrchestrationTerminatedError, OrchestrationCancelledError), Exit.FAILED),
    ((TimeoutError,), Exit.TIMED_OUT),
    ((DurableTaskError, OSError), Exit.HUB),
)


def exit_for(error: BaseException) -> Exit:
    """`Exit.BUG` for everything that is not ours."""
    return next((code for kinds, code in _CODES if isinstance(error, kinds)), Exit.BUG)
