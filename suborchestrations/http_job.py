"""`http_job`: submits work to a server that answers 202, polls it, fetches the result; tells the server when nobody waits any more."""

from typing import Any

from connectors.http import HttpRequest, HttpResponse, OperationResult, PollOperation, poll_operation, request
from dtf_runtime import OrchestrationContext, orchestration
from suborchestrations.steps import Outcome, Spec, Steps


class HttpJob(Spec, frozen=True, kw_only=True, omit_defaults=True):
    """`poll_interval` counts where the server says no Retry-After. With `on_failure="rollback"` the job is deleted at the deadline and on cancel."""

    submit: HttpRequest
    """Its answer names the job: Operation-Location, Azure-AsyncOperation, or 202 with Location."""
    max_interval: float = 60.0
    """The interval grows by half each time, up to this."""
    fetch_result: bool = True


class HttpJobOutcome(Outcome, frozen=True, kw_only=True):
    status: str
    """In the server's words."""
    polls: int
    response: HttpResponse
    """The result, else the last answer."""


_NOTHING = HttpResponse(status=202, url="", headers={}, body=b"", elapsed=0.0)


@orchestration(name="suborchestrations.http.job", version="1")
async def http_job(ctx: OrchestrationContext, spec: HttpJob) -> HttpJobOutcome:
    """Raises StepFailedError."""
    async with Steps(ctx, spec, ("submit", "result")) as steps:
        accepted = await steps.make(
            "submit", request, spec.submit, assumed=_NOTHING, detail=lambda answer: str(answer.status)
        )
        waiting: dict[str, Any] = {
            "timeout": spec.deadline,
            "interval": spec.poll_interval,
            "max_interval": max(spec.max_interval, spec.poll_interval),
            "cancel": "delete" if spec.on_failure == "rollback" else "leave",
            "fetch_result": spec.fetch_result,
        }
        found = await steps.wait(
            "result",
            lambda: poll_operation(PollOperation(request=spec.submit, accepted=accepted, **waiting)),
            assumed=OperationResult(status="planned", polls=0, response=_NOTHING),
            detail=lambda result: f"{result.status} after {result.polls} polls",
        )
        return HttpJobOutcome(planned=steps.planned, status=found.status, polls=found.polls, response=found.response)
