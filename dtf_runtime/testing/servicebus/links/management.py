"""`<queue>/$management`: requests about messages that no link is for."""

from typing import TYPE_CHECKING, Any

from dtf_runtime.testing.servicebus.amqp.message import Content
from dtf_runtime.testing.servicebus.amqp.types import Int, MalformedError, Symbol
from dtf_runtime.testing.servicebus.broker.queue import Queue
from dtf_runtime.testing.servicebus.broker.refusals import Refused, bad_argument, not_implemented
from dtf_runtime.testing.servicebus.links.host import Call
from dtf_runtime.testing.servicebus.links.operations import FORMS, NOTHING, Request
from dtf_runtime.testing.servicebus.links.outgoing import ReceiverLink
from dtf_runtime.testing.servicebus.links.tokens import reply

if TYPE_CHECKING:
    from dtf_runtime.testing.servicebus.links.channel import Channel


def handle_management(channel: "Channel", address: str, queue: Queue, content: Content) -> None:
    name = str(content.property("operation"))
    form = FORMS.get(name)

    def answer(result: Any) -> None:
        if isinstance(result, Refused):
            properties = {"errorCondition": Symbol(result.condition), **_status(result.status, result.description)}
            reply(channel, address, content, properties, {})
        elif result is NOTHING:
            condition = Symbol("com.microsoft:message-not-found")
            reply(channel, address, content, {"errorCondition": condition, **_status(204, "NoContent")}, {})
        else:
            reply(channel, address, content, _status(200, "OK"), result)

    if form is None:
        answer(not_implemented(name))
        return
    body = content.value()
    request = Request(queue, body if isinstance(body, dict) else {}, _receiver(channel, queue, content))
    operation = form.operation(request)

    def work() -> Any:
        channel.connection.require(form.right, queue.name)
        try:
            return form.run(request)
        except (KeyError, TypeError, AttributeError, MalformedError) as error:
            raise bad_argument(f"{name}: {error!r}") from error

    channel.host.perform(
        Call(
            operation=operation,
            queue=queue.name,
            work=work,
            answer=answer,
            abort=channel.abort,
            expire_lock=lambda: form.expire_lock(request),
        )
    )


def _status(code: int, description: str) -> dict[str, Any]:
    return {"statusCode": Int(code), "statusDescription": description}


def _receiver(channel: "Channel", queue: Queue, content: Content) -> ReceiverLink | None:
    """The receiver on whose behalf the client asks: the link that it names, else one of its session, of this connection."""
    name = content.property("associated-link-name")
    body = content.value()
    session_id = body.get("session-id") if isinstance(body, dict) else None
    for link in channel.connection.receivers():
        if link.queue is queue and (link.name == name or (name is None and link.session_id == session_id)):
            return link
    return None
