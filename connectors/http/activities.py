"""The activities of the connector: they send, and say how it ended. When to try again is the retry policy's matter."""

from uuid import uuid4

from connectors.core import DEFAULT_RETRY, Effect, call_key, declare, resolve
from connectors.http.client import send
from connectors.http.credentials import HttpConnection
from connectors.http.models import HttpRequest, HttpResponse
from connectors.http.wire import prepare
from dtf_runtime import OutsideActivityError, activity, activity_context


@declare(
    Effect.TOKEN,
    "the Idempotency-Key header, with methods that aren't idempotent by themselves; a server that ignores it gets them at least once",
)
@activity(name="http.request", retry=DEFAULT_RETRY)
async def request(call: HttpRequest) -> HttpResponse:
    """One HTTP request, and its answer when the status is an expected one.

    Idempotency: methods that are idempotent by themselves are simply repeated; the others carry this call's
    `idempotency_key`, the same at every delivery and retry. A server that ignores it gets them at least once.

    Raises `Transient` and `Throttled`, which a retry policy tries again (when the server said Retry-After: not sooner); `CapacityUnavailable`,
    `Ambiguous`, `Permanent` and its subclasses, which it doesn't. All are ConnectorErrors, with `status`.
    """
    connection = resolve(HttpConnection, call.connection)
    key = key_of(call)
    return await send(call, prepare(call, connection, key), connection, mark=key or uuid4().hex)


def key_of(call: HttpRequest) -> str | None:
    try:
        activity_context()
    except OutsideActivityError:  # called as a plain function, in a test or a script: no call of a workflow to name
        return None
    what = (call.method, call.url, call.params, call.json, call.form, call.parts, call.text, call.body)
    return call_key(what)
