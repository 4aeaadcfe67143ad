"""The activities of the connector: they send, and say how it ended. When to try again is the retry policy's matter."""

from connectors.http.models import HttpRequest, HttpResponse
from connectors.http.transport import send
from connectors.http.wire import prepare
from dtf_runtime import OutsideActivityError, RetryPolicy, activity, activity_context


@activity(
    name="http.request",
    retry=RetryPolicy(max_attempts=5, first_interval=1.0, backoff_coefficient=2.0, max_interval=60.0),
)
async def request(call: HttpRequest) -> HttpResponse:
    """One HTTP request, and its answer when the status is an expected one.

    Idempotency: methods that are idempotent by themselves are simply repeated; the others carry this call's
    `idempotency_key`, the same at every delivery and retry. A server that ignores it gets them at least once.

    Raises `Transient` and `Throttled`, which a retry policy tries again (when the server said Retry-After: not sooner);
    `Ambiguous`, `Permanent` and its subclasses, which it doesn't. All are `HttpError`, with `status`.
    """
    return await send(prepare(call, _idempotency_key()))


def _idempotency_key() -> str | None:
    try:
        return activity_context().idempotency_key
    except OutsideActivityError:  # called as a plain function, in a test or a script: no call of a workflow to name
        return None
