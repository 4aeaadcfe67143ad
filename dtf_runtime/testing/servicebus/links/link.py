"""The server's end of a link. Named from the client's side: on a sender link the client sends."""

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dtf_runtime.testing.servicebus.amqp.performatives import Attach, Detach, Flow, Transfer, error
from dtf_runtime.testing.servicebus.amqp.types import Described, Symbol
from dtf_runtime.testing.servicebus.broker.refusals import Refused

if TYPE_CHECKING:
    from dtf_runtime.testing.servicebus.links.channel import Channel

_FILTER = 7  # its place in a source


def terminus_fields(terminus: object) -> list[Any]:
    return terminus.value if isinstance(terminus, Described) and isinstance(terminus.value, list) else []


def address_of(attach: Attach) -> str | None:
    """The path of what the client wants to send to or receive from, without host and outer slashes."""
    fields = terminus_fields(attach.source if attach.role else attach.target)
    if not fields or not isinstance(fields[0], str):
        return None
    address = fields[0]
    return (urlsplit(address).path if "://" in address else address).strip("/")


def filters_of(attach: Attach) -> dict[str, Any]:
    """The source's filters by name; a described filter is its value."""
    fields = terminus_fields(attach.source)
    found = fields[_FILTER] if len(fields) > _FILTER and isinstance(fields[_FILTER], dict) else {}
    return {str(name): value.value if isinstance(value, Described) else value for name, value in found.items()}


class Link:
    def __init__(self, channel: "Channel", attach: Attach, address: str) -> None:
        self.channel = channel
        self.request = attach  # the client's attach
        self.name = attach.name
        self.handle = attach.handle
        self.address = address
        self.is_open = True

    def confirm(
        self,
        *,
        max_message_size: int | None = None,
        filters: dict[str, Any] | None = None,
        properties: dict[str, Any] | None = None,
    ) -> None:
        """Answers the attach. Source and target are echoed byte for byte, but for the filters."""
        source = self.request.source
        if filters is not None and isinstance(source, Described):
            fields = [*terminus_fields(source), *[None] * 8][:11]
            fields[_FILTER] = {Symbol(name): value for name, value in filters.items()}
            source = Described(source.descriptor, fields)
        self.channel.send(
            Attach(
                name=self.name,
                handle=self.handle,
                role=not self.request.role,
                snd_settle_mode=self.request.snd_settle_mode,
                rcv_settle_mode=self.request.rcv_settle_mode,
                source=source,
                target=self.request.target,
                initial_delivery_count=0 if self.request.role else None,
                max_message_size=max_message_size,
                properties={Symbol(name): value for name, value in (properties or {}).items()} or None,
            )
        )

    def detach(self, reason: Refused) -> None:
        """The server takes the link away."""
        if self.is_open:
            self.channel.forget(self, awaits_detach=True)
            self.channel.send(Detach(self.handle, closed=True, error=error(reason.condition, reason.description)))
            self.ended()

    def detached(self, frame: Detach) -> None:
        """The client has let go."""
        self.channel.forget(self)
        self.channel.send(Detach(self.handle, closed=bool(frame.closed)))
        self.ended()

    def ended(self) -> None:
        """The link is gone, by whomever. Called once."""
        self.is_open = False

    def flowed(self, frame: Flow) -> None: ...

    def transferred(self, frame: Transfer, payload: bytes) -> None: ...


def refuse_attach(channel: "Channel", attach: Attach, reason: Refused) -> None:
    """AMQP's way to refuse a link: attached to nothing, then detached with the reason."""
    channel.send(Attach(attach.name, attach.handle, not attach.role, initial_delivery_count=0 if attach.role else None))
    channel.expect_detach(attach.handle)
    channel.send(Detach(attach.handle, closed=True, error=error(reason.condition, reason.description)))
