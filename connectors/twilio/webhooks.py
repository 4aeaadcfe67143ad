"""Twilio's webhooks, for the kit's `WebhookApp`: news of deliveries, incoming texts and calls, each an event on the right instance.

    app = WebhookApp(service, [status_callbacks(connection), inbound_messages(connection, route=lambda sms: f"support:{sms.from_}")],
                     base_url="https://hooks.example.com")

What Twilio signs is the public address, so the app must be told it (`base_url`): behind a proxy the request shows another. Must never look into
a request that wasn't verified. Sources: https://www.twilio.com/docs/usage/security, the SDK's `request_validator` (HMAC-SHA1 with the auth token,
HMAC-SHA256 with a SharedKey where a webhook rule says so, `bodySHA256` for JSON bodies).
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from hmac import compare_digest
from inspect import isawaitable
from urllib.parse import parse_qs, parse_qsl, urlsplit

from connectors.core import Secret
from connectors.core.webhooks import Incoming, RaiseEvent, Reply, Webhook, WebhookRefused
from connectors.core.webhooks.models import Outcome
from connectors.twilio.callbacks import about
from connectors.twilio.connection import TwilioConnection
from connectors.twilio.events import (
    INBOUND_CALL,
    INBOUND_MESSAGE,
    CallNews,
    InboundCall,
    InboundMessage,
    MessageNews,
    call_event,
    message_event,
)
from connectors.twilio.ledger import ledger
from dtf_runtime.plugins import require

SIGNATURE = "x-twilio-signature"
SETTINGS = "x-twilio-webhooks-signature-settings"
NOTHING = Reply(body=b"<Response/>", content_type="text/xml; charset=utf-8")
"""TwiML that does nothing: no reply to a text."""
_MOST_FIELDS = 1_000


def verify(
    headers: Mapping[str, str], body: bytes, url: str, tokens: Sequence[Secret], shared_keys: Sequence[Secret] = ()
) -> None:
    """Raises WebhookRefused unless Twilio sent this. Pure.

    `headers`: lower-case names. `url`: the public one that Twilio called, with its query. `tokens`: auth tokens, several while one is being
    replaced. `shared_keys`: those of webhook rules that sign with HMAC-SHA256.
    """
    sdk = require("twilio.request_validator", "twilio")
    signature, settings = headers.get(SIGNATURE, ""), headers.get(SETTINGS, "")
    keys = shared_keys if settings else tokens
    if not signature or not any(keys):
        raise WebhookRefused("there is no signature, or no key to check it with")
    signed = _signed(headers, body, url)
    algorithm = sdk.get_signature_algorithm(settings)
    if algorithm.upper() not in (sdk.HMAC_SHA1, sdk.HMAC_SHA256):
        raise WebhookRefused("the signature's algorithm is unknown")
    right = False
    for key in keys:  # all of them, so that the time says nothing about which
        right |= bool(key) and sdk.RequestValidator(key.reveal()).validate(url, signed, signature, algorithm)
    if not right:
        raise WebhookRefused("the signature is not right")


def verifier(*connections: TwilioConnection) -> Callable[[Incoming], None]:
    """For a `Webhook`: what any of these accounts signed. Raises ValueError when none of them has a key."""
    tokens = [one.auth_token for one in connections if one.auth_token]
    shared = [one.signing_secret for one in connections if one.signing_secret]
    if not tokens and not shared:
        raise ValueError(
            "a verifier needs a connection with an auth_token or a signing_secret: without one, anybody could sign"
        )
    return lambda request: verify(request.headers, request.body, request.url, tokens, shared)


class _Fields(dict[str, list[str]]):
    """What the SDK's validator knows as a MultiDict: a repeated field is signed with all of its values."""

    def getall(self, name: str) -> list[str]:
        return self[name]


def _signed(headers: Mapping[str, str], body: bytes, url: str) -> _Fields:
    """The fields under the signature, beside the address. A body that isn't a form is under it by its digest in the address."""
    digests = parse_qs(urlsplit(url).query).get("bodySHA256", [])
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded" and body:
        try:
            pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
        except ValueError:
            raise WebhookRefused("the body is no form") from None
        fields = _Fields()
        for name, value in pairs:
            fields.setdefault(name, []).append(value)
        return fields
    if (body and not digests) or any(not compare_digest(one, hashlib.sha256(body).hexdigest()) for one in digests):
        raise WebhookRefused("the body is not under the signature")
    return _Fields()


# -- News of what was sent --------------------------------------------------------------------------------------------


def status_callbacks(*connections: TwilioConnection, path: str = "/twilio/status") -> Webhook:
    """News of messages and calls, for the connection's `status_callback`: `message_event(sid)` with MessageNews, `call_event(sid)` with CallNews,
    on the instance that the address names. Twilio may tell a thing twice; it is raised once."""

    async def to_event(request: Incoming) -> Outcome:
        form = dict(request.form())
        key, instance = about(request.url)
        sid = form.get("MessageSid") or form["CallSid"]
        if key:
            for path in {one.ledger_path for one in connections}:
                await asyncio.to_thread(ledger(path).heard, key, sid)
        if not instance:
            return None
        status = form.get("MessageStatus") or form["CallStatus"]
        return RaiseEvent(
            instance_id=instance,
            name=message_event(sid) if "MessageSid" in form else call_event(sid),
            payload=_news(sid, status, form),
            delivery_id=f"{sid}:{status}",
        )

    return _webhook(path, connections, to_event)


def _news(sid: str, status: str, form: Mapping[str, str]) -> MessageNews | CallNews:
    if "MessageSid" in form:
        code = form.get("ErrorCode") or ""
        return MessageNews(sid=sid, status=status, error_code=int(code) if code.isdigit() else None)
    duration = form.get("CallDuration") or "0"
    return CallNews(sid=sid, status=status, duration=int(duration), answered_by=form.get("AnsweredBy", ""))


# -- What people send -------------------------------------------------------------------------------------------------


def inbound_messages(
    *connections: TwilioConnection,
    route: Callable[[InboundMessage], str | Awaitable[str | None] | None],
    path: str = "/twilio/sms",
    reply: Reply = NOTHING,
) -> Webhook:
    """Incoming texts, for a number's "a message comes in". `route` says which instance hears it, as INBOUND_MESSAGE; it may start that instance
    first (async). None: nobody. `reply` is TwiML."""

    async def to_event(request: Incoming) -> Outcome:
        message = _message(dict(request.form()))
        instance = route(message)
        instance = await instance if isawaitable(instance) else instance
        if not instance:
            return reply
        return RaiseEvent(
            instance_id=instance, name=INBOUND_MESSAGE, payload=message, delivery_id=message.sid, reply=reply
        )

    return _webhook(path, connections, to_event)


def inbound_calls(
    *connections: TwilioConnection,
    route: Callable[[InboundCall], str | Awaitable[str | None] | None],
    twiml: Callable[[InboundCall], str],
    path: str = "/twilio/voice",
) -> Webhook:
    """Incoming calls, for a number's "a call comes in". `route` as for texts, the event is INBOUND_CALL; `twiml` says what the caller hears."""

    async def to_event(request: Incoming) -> Outcome:
        form = dict(request.form())
        call = InboundCall(
            sid=form["CallSid"],
            from_=form.get("From", ""),
            to=form.get("To", ""),
            status=form.get("CallStatus", ""),
            digits=form.get("Digits", ""),
            speech=form.get("SpeechResult", ""),
        )
        reply = Reply(body=twiml(call).encode(), content_type="text/xml; charset=utf-8")
        instance = route(call)
        instance = await instance if isawaitable(instance) else instance
        if not instance:
            return reply
        step = f"{call.sid}:{call.status}:{call.digits}:{call.speech}"
        return RaiseEvent(instance_id=instance, name=INBOUND_CALL, payload=call, delivery_id=step, reply=reply)

    return _webhook(path, connections, to_event)


def _message(form: Mapping[str, str]) -> InboundMessage:
    media = int(form.get("NumMedia") or 0)
    return InboundMessage(
        sid=form["MessageSid"],
        from_=form.get("From", ""),
        to=form.get("To", ""),
        body=form.get("Body", ""),
        media_urls=[form[f"MediaUrl{n}"] for n in range(min(media, 10)) if f"MediaUrl{n}" in form],
        opt_out=form.get("OptOutType", ""),
        profile_name=form.get("ProfileName", ""),
    )


def _webhook(
    path: str, connections: Sequence[TwilioConnection], to_event: Callable[[Incoming], Awaitable[Outcome]]
) -> Webhook:
    async def checked(request: Incoming) -> Outcome:
        try:
            return await to_event(request)
        except KeyError as error:  # the app answers 400 to a ValueError
            raise ValueError(f"the field {error} is missing") from None

    return Webhook(path=path, verify=verifier(*connections), to_event=checked)
