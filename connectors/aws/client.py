"""boto3's clients, one per connection, service and region, and the one way to call them: `aws_call`.

It must never let botocore repeat what is not safe to repeat: its `standard` mode resends after a lost answer whatever the operation is. So
there are two clients, one that resends once, for calls that carry a token or change nothing when repeated, and one that doesn't. Everything
longer than that is the retry policy's matter.
"""

import threading
from collections.abc import Iterator, Mapping
from typing import Any

from connectors.aws.codes import EXPIRED
from connectors.aws.connection import AwsConnection
from connectors.aws.errors import mapped, unmade
from connectors.aws.session import ClientOf
from connectors.core import AuthenticationFailed, ConnectorError, Effect, client_of, resolve
from dtf_runtime import DurableTaskError

_RESENDABLE = frozenset({Effect.READ, Effect.TOKEN, Effect.NATURAL})  # on the wire, without a look in between
_ATTEMPTS = 2  # all in all, for those
_generations: dict[AwsConnection, int] = {}
_lock = threading.Lock()


def client(
    service: str, connection: str = "default", *, region: str | None = None, effect: Effect = Effect.READ
) -> Any:
    """boto3's client of a service. From any thread. Call it through `aws_call`, or map its errors with `mapped`.

    `connection` is a name; `effect` says whether botocore may resend by itself. Raises ConnectionMissing, InvalidRequest (no region),
    MissingExtraError (boto3 is not installed).
    """
    return _client(resolve(AwsConnection, connection), service, region, effect)


def aws_call(
    service: str,
    operation: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    connection: str = "default",
    region: str | None = None,
    effect: Effect = Effect.READ,
) -> dict[str, Any]:
    """One operation, `aws_call("ec2", "run_instances", {...}, connection=call.connection, effect=Effect.TOKEN)`, and its answer.

    Parameters that are None are left out. Raises the kit's errors alone; how a lost answer is taken follows from `effect`: Ambiguous for
    `AT_LEAST_ONCE`, else Transient, since then the next attempt is safe. Expired credentials are fetched anew once, when they can be.
    """
    found = resolve(AwsConnection, connection)
    given = {name: value for name, value in (parameters or {}).items() if value is not None}
    for again in (found.refreshes, False):
        generation = _generations.get(found, 0)
        send = getattr(_client(found, service, region, effect), operation)
        try:
            answer: dict[str, Any] = send(**given)
            return answer
        except Exception as raised:
            error = mapped(raised, service=service, operation=operation, effect=effect)
            if not (again and isinstance(error, AuthenticationFailed) and error.code in EXPIRED):
                raise error from None  # botocore's own text may quote the answer
        _renew(found, generation)
    raise AssertionError("unreachable")


def pages(
    service: str,
    operation: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    connection: str = "default",
    region: str | None = None,
    token: str = "NextToken",
    answered: str = "NextToken",
    most: int = 1000,
) -> Iterator[dict[str, Any]]:
    """The answers of an operation that comes in pages, one call each, at most `most`: a list that never ends must not hold a worker."""
    given = dict(parameters or {})
    for _ in range(most):
        answer = aws_call(service, operation, given, connection=connection, region=region)
        yield answer
        if not answer.get(answered):
            return
        given[token] = answer[answered]


def request_id(answer: Mapping[str, Any]) -> str:
    """AWS's own id of the request, for `Mutation.request_id`."""
    return str(answer.get("ResponseMetadata", {}).get("RequestId") or "")


def _client(found: AwsConnection, service: str, region: str | None, effect: Effect) -> Any:
    attempts = _ATTEMPTS if effect in _RESENDABLE else 1
    try:
        return client_of(found, ClientOf(service, region or found.region, attempts, _generations.get(found, 0)))
    except (ConnectorError, DurableTaskError):
        raise
    except Exception as error:  # making one reads profiles and credentials
        raise unmade(error, service) from None


def _renew(found: AwsConnection, seen: int) -> None:
    """The next client of this connection reads its credentials anew. Once, when several threads find them expired."""
    with _lock:
        if _generations.get(found, 0) == seen:
            _generations[found] = seen + 1
