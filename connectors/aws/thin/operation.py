"""A row of the table in `connectors.aws.operations`, and the activity that it becomes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from connectors.aws.client import aws_call
from connectors.aws.models import AwsCall
from connectors.core import DEFAULT_RETRY, ConnectorError, Effect, call_key, declare
from dtf_runtime import Activity, activity

_I = TypeVar("_I", bound=AwsCall)
_O = TypeVar("_O")
Answer = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Operation(Generic[_I, _O]):
    name: str
    """Of the activity: never changed."""
    service: str
    """As boto3 calls it."""
    operation: str
    effect: Effect
    how: str = ""
    permissions: tuple[str, ...]
    takes: type[_I]
    gives: type[_O]
    says: str
    """The activity's docstring: what it does, and what it raises."""
    send: Callable[[_I, str], dict[str, Any]]
    """The parameters, from the call and its idempotency key."""
    read: Callable[[_I, str, Answer], _O]
    adopt: Callable[[_I, str, ConnectorError], _O | None] | None = None
    """What to make of an error: the result of an earlier delivery, or None to let it go on. It may raise another."""


def made(row: Operation[_I, _O]) -> Activity[[_I], _O]:
    """Its activity. Values are kept in history, in and out."""

    def run(call: Any) -> Any:
        key = call_key(call)
        try:
            answer = aws_call(
                row.service,
                row.operation,
                row.send(call, key),
                connection=call.connection,
                region=call.region,
                effect=row.effect,
            )
        except ConnectorError as error:
            found = None if row.adopt is None else row.adopt(call, key, error)
            if found is None:
                raise
            return found
        return row.read(call, key, answer)

    run.__name__ = run.__qualname__ = row.name.rpartition(".")[2]
    run.__doc__ = row.says
    run.__annotations__ = {"call": row.takes, "return": row.gives}
    decorated = activity(name=row.name, retry=DEFAULT_RETRY)(run)
    return declare(row.effect, row.how, permissions=row.permissions)(decorated)
