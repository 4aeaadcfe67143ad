"""Waiting for a long-running operation: single polls and durable timers, with a deadline.

Must never submit again because a poll failed: a poll says nothing about the work.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from connectors.core import Permanent, Throttled, Transient
from connectors.core.urls import origin, redact
from connectors.http.activities import request
from connectors.http.models import HttpRequest, HttpResponse
from connectors.http.operations import Operation, Reading, harmless, operation_of, read
from dtf_runtime import OrchestrationContext, TaskFailedError, orchestration

_POLL_ANSWERS = (200, 201, 202, 204)
_CANCEL_ANSWERS = (200, 202, 204, 404, 409, 410)  # the last three: it is over already


class OperationFailed(Permanent):
    """The server says that the operation failed or was cancelled. `code` is the server's, `properties["state"]` says which."""


class OperationTimedOut(Permanent):
    """The operation was still running at its deadline. `properties["cancelled"]`: whether the server was told to cancel it."""

    may_have_happened = True


for _error in (OperationFailed, OperationTimedOut):
    _error.__module__ = "connectors.http"


class PollOperation(msgspec.Struct, frozen=True, kw_only=True):
    request: HttpRequest
    """What submitted the operation. Its connection and headers are used for the polls."""
    accepted: HttpResponse
    """Its answer, with Operation-Location, Azure-AsyncOperation or Location."""
    timeout: float = 3600.0
    """Seconds from the first turn to the deadline."""
    interval: float = 5.0
    """Seconds between polls when the server says no Retry-After; grows by half each time up to `max_interval`."""
    max_interval: float = 60.0
    cancel: Literal["leave", "delete"] = "leave"
    """At the deadline, or when the orchestration is cancelled: leave it running, or DELETE the status address."""
    fetch_result: bool = True
    """GET the result's address, where the server names one, when the operation has succeeded."""


class OperationResult(msgspec.Struct, frozen=True, kw_only=True):
    status: str
    """In the server's words."""
    polls: int
    response: HttpResponse
    """The result, else the last answer."""


@orchestration(name="http.poll_operation")
async def poll_operation(ctx: OrchestrationContext, call: PollOperation) -> OperationResult:
    """Waits until a submitted operation is done. A poll that fails for a time is one that says nothing: the next one will.

    Raises OperationFailed, OperationTimedOut, and what `http.request` raises for good: a 404 for the status, say.
    """
    operation = operation_of(call.accepted, call.request, now=ctx.now())
    if operation is None:
        return OperationResult(status=str(call.accepted.status), polls=0, response=call.accepted)
    watch = _Watch(ctx, call, operation)
    try:
        return await watch.until_done(ctx.now() + timedelta(seconds=call.timeout))
    except asyncio.CancelledError:
        await watch.cancel()
        raise


class _Watch:
    def __init__(self, ctx: OrchestrationContext, call: PollOperation, operation: Operation) -> None:
        self._ctx = ctx
        self._call = call
        self._operation = operation
        self._polls = 0

    async def until_done(self, deadline: datetime) -> OperationResult:
        interval = self._call.interval
        wait = self._operation.retry_after
        while True:
            left = (deadline - self._ctx.now()).total_seconds()
            if left <= 0:
                raise await self._too_late()
            await asyncio.sleep(min(interval if wait is None else wait, left))
            interval = min(interval * 1.5, self._call.max_interval)
            answer, wait = await self._poll(deadline)
            if answer is None:
                continue
            reading = read(self._operation, answer, now=self._ctx.now())
            self._ctx.set_custom_status({"status": reading.status, "polls": self._polls})
            if reading.state == "succeeded":
                return await self._result(reading, answer)
            if reading.state != "running":
                raise self._failed(reading)
            wait = reading.retry_after

    async def _poll(self, deadline: datetime) -> tuple[HttpResponse | None, float | None]:
        """The answer, or None and the wait that the failure asks for."""
        self._polls += 1
        left = max((deadline - self._ctx.now()).total_seconds(), 1.0)
        try:
            async with asyncio.timeout(left):
                return await request(self._to(self._operation.status_url, expected=_POLL_ANSWERS)), None
        except TimeoutError:
            return None, 0.0
        except TaskFailedError as error:
            if error.failure.is_caused_by(Transient) or error.failure.is_caused_by(Throttled):
                return None, error.failure.retry_after
            raise

    async def _result(self, reading: Reading, answer: HttpResponse) -> OperationResult:
        url = reading.result_url or self._operation.result_url
        if url is not None and self._call.fetch_result:
            answer = await request(self._to(url))
        return OperationResult(status=reading.status, polls=self._polls, response=answer)

    def _failed(self, reading: Reading) -> OperationFailed:
        return OperationFailed(
            f"the operation at {self._shown} ended as {reading.status!r} {reading.code}".rstrip(),
            code=reading.code or reading.status,
            state=reading.state,
        )

    async def _too_late(self) -> OperationTimedOut:
        cancelled = await self.cancel()
        told = "; the server was told to cancel it" if cancelled else "; it goes on"
        return OperationTimedOut(
            f"the operation at {self._shown} was still running after {self._call.timeout:g} s{told}",
            cancelled=cancelled,
        )

    async def cancel(self) -> bool:
        """Whether the server knows that nobody waits any more."""
        if self._call.cancel == "leave":
            return False
        try:
            await request(self._to(self._operation.status_url, method="DELETE", expected=_CANCEL_ANSWERS))
        except TaskFailedError as error:
            self._ctx.logger.warning("the operation at %s can't be cancelled: %s", self._shown, error)
            return False
        return True

    @property
    def _shown(self) -> str:
        return redact(self._operation.status_url)

    def _to(self, url: str, *, method: str = "GET", expected: tuple[int, ...] = ()) -> HttpRequest:
        submitted = self._call.request
        own = origin(url) == origin(self._call.accepted.url)
        return HttpRequest(
            url=url,
            method=method,
            connection=submitted.connection,
            headers=harmless(submitted.headers) if own else {},
            timeout=submitted.timeout,
            max_bytes=submitted.max_bytes,
            expected=expected,
        )


__all__ = ["OperationFailed", "OperationResult", "OperationTimedOut", "PollOperation", "poll_operation"]
