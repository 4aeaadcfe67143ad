"""What orchestrations that wait for people share: who is asked and how far that is, as a checklist; patience with providers; what is a no for good.

Must never show a number, a code or a link: names only.
"""

import dataclasses
from collections.abc import Iterable

from connectors.core import AuthenticationFailed, CapacityUnavailable, ConnectionMissing, InvalidRequest, Permanent
from dtf_runtime import FailureDetails, OrchestrationContext, RetryPolicy, TaskFailedError
from suborchestrations.steps import State

_OURS = (AuthenticationFailed, ConnectionMissing, InvalidRequest)
PATIENT = RetryPolicy(
    max_attempts=5_000,
    first_interval=1.0,
    max_interval=300.0,
    jitter=0.2,
    non_retriable=(CapacityUnavailable,),
)
"""An outage of the provider delays, however long it is; the spec's deadline ends the trying. What is no for good is not tried again."""
PATIENT_WHILE_GOOD = dataclasses.replace(PATIENT, max_interval=30.0, timeout=900.0)
"""For checking a code, which is good for ten minutes."""


class Board:
    """One row a person, or a step, that `dtf show` draws. `names` in their order."""

    def __init__(self, ctx: OrchestrationContext, names: Iterable[str]) -> None:
        self._ctx = ctx
        self._rows = {name: {"name": name, "state": "pending", "detail": ""} for name in names}
        self._show()

    def set(self, name: str, state: State, detail: str = "") -> None:
        self._rows[name] |= {"state": state, "detail": detail}
        self._show()

    def close(self) -> None:
        """Whoever was not needed any more."""
        for row in self._rows.values():
            if row["state"] in ("pending", "running"):
                row |= {"state": "skipped"}
        self._show()

    def _show(self) -> None:
        self._ctx.set_custom_status({"steps": list(self._rows.values())})


def refusal(error: TaskFailedError) -> FailureDetails:
    """Why this person can't be reached, when it is about the person. Everything else, such as credentials that are wrong, is raised again."""
    failure = error.failure
    if any(failure.is_caused_by(kind) for kind in _OURS) or not failure.is_caused_by(Permanent):
        raise error
    return failure


def short(failure: FailureDetails) -> str:
    """For a row: the kind and the code, which hold nothing private."""
    code = failure.properties.get("code")
    kind = failure.type.rpartition(".")[2]
    return f"{kind} {code}" if code else kind
