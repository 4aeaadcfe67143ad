"""Which link an attach asks for, and whether it may have it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dtf_runtime.testing.servicebus.access import Right
from dtf_runtime.testing.servicebus.amqp.message import Content
from dtf_runtime.testing.servicebus.amqp.performatives import Attach
from dtf_runtime.testing.servicebus.broker.options import LARGEST_MESSAGE
from dtf_runtime.testing.servicebus.broker.refusals import Refused, entity_not_found
from dtf_runtime.testing.servicebus.faults import Operation
from dtf_runtime.testing.servicebus.links.host import Call
from dtf_runtime.testing.servicebus.links.incoming import RequestLink, SenderLink
from dtf_runtime.testing.servicebus.links.link import address_of, filters_of, refuse_attach
from dtf_runtime.testing.servicebus.links.management import handle_management
from dtf_runtime.testing.servicebus.links.outgoing import ReceiverLink, ReplyLink
from dtf_runtime.testing.servicebus.links.tokens import TOKEN_NODE, handle_token

if TYPE_CHECKING:
    from dtf_runtime.testing.servicebus.links.channel import Channel

_MANAGEMENT = "/$management"


def attach_link(channel: "Channel", attach: Attach) -> None:
    address = address_of(attach)
    if address is None:
        refuse_attach(channel, attach, entity_not_found("(none)"))
    elif address == TOKEN_NODE:
        _attach_node(channel, attach, address, lambda content: handle_token(channel, content))
    elif address.lower().endswith(_MANAGEMENT):
        _attach_management(channel, attach, address)
    else:
        _attach_queue(channel, attach, address)


def _attach_node(channel: "Channel", attach: Attach, address: str, handle: Callable[[Content], None]) -> None:
    link = ReplyLink(channel, attach, address) if attach.role else RequestLink(channel, attach, address, handle)
    channel.links[link.handle] = link
    link.confirm(max_message_size=LARGEST_MESSAGE)
    if isinstance(link, RequestLink):
        link.grant_credit()


def _attach_management(channel: "Channel", attach: Attach, address: str) -> None:
    name = address[: -len(_MANAGEMENT)]
    try:
        channel.connection.require_any(name)
        queue = channel.host.namespace.find(name)
    except Refused as refused:
        refuse_attach(channel, attach, refused)
        return
    _attach_node(channel, attach, address, lambda content: handle_management(channel, address, queue, content))


def _attach_queue(channel: "Channel", attach: Attach, address: str) -> None:
    def answer(result: Any) -> None:
        if isinstance(result, Refused) and channel.is_open:
            refuse_attach(channel, attach, result)

    start = _start_receiver if attach.role else _start_sender
    channel.host.perform(
        Call(
            operation=Operation.ATTACH,
            queue=address,
            work=lambda: start(channel, attach, address) if channel.is_open else None,
            answer=answer,
            abort=channel.abort,
        )
    )


def _start_sender(channel: "Channel", attach: Attach, address: str) -> None:
    channel.connection.require(Right.SEND, address)
    queue = channel.host.namespace.find(address)
    queue.check_can_send()
    link = SenderLink(channel, attach, address, queue)
    channel.links[link.handle] = link
    link.confirm(max_message_size=LARGEST_MESSAGE, properties={"com.microsoft:max-message-batch-size": LARGEST_MESSAGE})
    link.grant_credit()


def _start_receiver(channel: "Channel", attach: Attach, address: str) -> None:
    channel.connection.require(Right.LISTEN, address)
    queue = channel.host.namespace.find(address)
    link = ReceiverLink(channel, attach, address, queue)
    channel.links[link.handle] = link
    try:
        link.start(filters_of(attach))
    except Refused:
        channel.forget(link)
        raise
