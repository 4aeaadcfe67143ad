"""`$cbs`: the node to which clients bring their tokens before they attach to anything else.

What a token is shows in the token. The type that comes with it does not: the async SDK calls signatures "jwt".
"""

from typing import TYPE_CHECKING, Any

from dtf_runtime.testing.servicebus.amqp.message import Content, compose_answer
from dtf_runtime.testing.servicebus.amqp.types import Int
from dtf_runtime.testing.servicebus.broker.refusals import Refused
from dtf_runtime.testing.servicebus.links.outgoing import ReplyLink

if TYPE_CHECKING:
    from dtf_runtime.testing.servicebus.links.channel import Channel

TOKEN_NODE = "$cbs"


def handle_token(channel: "Channel", request: Content) -> None:
    try:
        channel.connection.admit(channel.host.access.check(str(request.value())))
        status, description = 202, "Accepted"
    except Refused as refused:
        status, description = refused.status, refused.description
    properties = {"status-code": Int(status), "status-description": description}
    reply(channel, TOKEN_NODE, request, properties, {})


def reply(channel: "Channel", address: str, request: Content, properties: dict[str, Any], value: object) -> None:
    """Sends the answer to a request on the node's other half."""
    for link in channel.links.values():
        if isinstance(link, ReplyLink) and link.address == address:
            link.reply(compose_answer(request.message_id, properties, value))
            return
