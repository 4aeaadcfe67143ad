"""A request whose answer comes later, to an address of ours: a signed link that is good for one answer, waited for against a durable timer.

The link is made in the activity that sends it, from the same arguments at every attempt, so it is the same at every attempt and enters neither
inputs nor results. Must never send again because the answer is late.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import msgspec

from connectors.core import DEFAULT_RETRY, Ambiguous, Effect, InvalidRequest, Permanent, declare, resolve
from connectors.core.urls import redact
from connectors.core.webhooks import LINK_PATH, Links, Received, WebhookConnection
from connectors.http.activities import key_of
from connectors.http.client import send
from connectors.http.credentials import HttpConnection
from connectors.http.models import HttpRequest, HttpResponse
from connectors.http.wire import prepare
from dtf_runtime import OrchestrationContext, TaskFailedError, activity, orchestration
from dtf_runtime.tracing import redact_value

CALLBACK_URL = "{callback_url}"
"""Written anywhere in the request's url, params, headers, json, form, text or parts, it becomes the address to answer to."""
_MASK = "***"


class CallbackTimedOut(Permanent):
    """The request went out, and nobody called back in time."""

    may_have_happened = True


CallbackTimedOut.__module__ = "connectors.http"


class RequestWithCallback(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    request: HttpRequest
    """With `CALLBACK_URL` somewhere in it, but not in `body`."""
    instance_id: str
    """Whose event an answer is."""
    event: str
    """Its name, and what the link is good for once."""
    ends: datetime
    """The link is refused from then on."""
    webhooks: str = "default"
    """The name of the `WebhookConnection` that signs the link."""


class CallAndWait(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    request: HttpRequest
    """With `CALLBACK_URL` somewhere in it, but not in `body`."""
    timeout: float = 3600.0
    """Seconds from the call until the answer must have come."""
    webhooks: str = "default"
    """The name of the `WebhookConnection` that signs the link."""


class CallbackResult(msgspec.Struct, frozen=True, kw_only=True):
    callback: Received
    """What was sent to the link."""
    response: HttpResponse | None
    """What the request itself was answered; None when no answer came back, but the callback shows that it arrived."""


@declare(
    Effect.TOKEN,
    "the Idempotency-Key header, and one link for all attempts; a server that ignores both gets the request at least once",
)
@activity(name="http.request_with_callback", retry=DEFAULT_RETRY)
async def request_with_callback(call: RequestWithCallback) -> HttpResponse:
    """`http.request`, with `CALLBACK_URL` filled in. `http.call_and_wait_for_callback` calls it.

    What the server repeats of the link is masked in the result. Raises what `http.request` raises; InvalidRequest when the request has no place
    for the address.
    """
    connection = resolve(HttpConnection, call.request.connection)
    links = Links.of(resolve(WebhookConnection, call.webhooks))
    url = links.make_until(call.instance_id, call.event, once=call.event, ends=call.ends)
    token = url.partition(LINK_PATH)[2]
    if CALLBACK_URL in call.request.url or call.request.params:
        redact_value(token)  # HTTP libraries log addresses
    filled = _filled(call.request, url)
    key = key_of(call.request)
    answer = await send(filled, prepare(filled, connection, key), connection, mark=key or uuid4().hex)
    return msgspec.structs.replace(
        answer,
        url=answer.url.replace(token, _MASK),
        headers={name: value.replace(token, _MASK) for name, value in answer.headers.items()},
        body=answer.body.replace(token.encode(), _MASK.encode()),
    )


@orchestration(name="http.call_and_wait_for_callback")
async def call_and_wait_for_callback(ctx: OrchestrationContext, call: CallAndWait) -> CallbackResult:
    """Sends the request and waits until its receiver has called back, once. Needs a `WebhookApp` that runs with the same `WebhookConnection`.

    A request whose outcome is unknown (Ambiguous) is waited for all the same: the callback shows that it arrived. Raises CallbackTimedOut, and
    what `http.request` raises.
    """
    event = f"callback-{ctx.uuid4()}"
    ends = ctx.now() + timedelta(seconds=call.timeout)
    response, doubt = None, None
    try:
        async with asyncio.timeout(call.timeout):
            try:
                response = await request_with_callback(
                    RequestWithCallback(
                        request=call.request,
                        instance_id=ctx.instance_id,
                        event=event,
                        ends=ends,
                        webhooks=call.webhooks,
                    )
                )
            except TaskFailedError as error:
                if not error.failure.is_caused_by(Ambiguous):
                    raise
                doubt = error
            return CallbackResult(callback=await ctx.wait_for_event(event, Received), response=response)
    except TimeoutError:
        where = redact(call.request.url)
        raise CallbackTimedOut(
            f"{call.request.method} {where}: nobody called back within {call.timeout:g} s"
        ) from doubt


def _filled(request: HttpRequest, url: str) -> HttpRequest:
    if CALLBACK_URL.encode() not in msgspec.json.encode(request):
        raise InvalidRequest(
            f"{request.method} {redact(request.url)}: it has no {CALLBACK_URL}, so nobody would know where to call back"
        )
    plain = msgspec.to_builtins(request, builtin_types=(bytes,))
    plain["url"] = plain["url"].replace(CALLBACK_URL, quote(url, safe=""))
    return msgspec.convert(_replaced(plain, url), HttpRequest)


def _replaced(value: Any, url: str) -> Any:
    if isinstance(value, str):
        return value.replace(CALLBACK_URL, url)
    if isinstance(value, dict):
        return {key: _replaced(item, url) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(item, url) for item in value]
    return value
