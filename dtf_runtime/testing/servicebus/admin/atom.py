"""Queues as Atom entries, and back: the documents of Service Bus's management API.

Source: the `QueueDescription` of the service's REST API; elements come in its order.
"""

import datetime
import re
from collections.abc import Callable, Iterable
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from dtf_runtime.testing.servicebus.broker.message import State
from dtf_runtime.testing.servicebus.broker.queue import Queue
from dtf_runtime.testing.servicebus.broker.refusals import not_implemented

_ATOM = "http://www.w3.org/2005/Atom"
_SERVICE_BUS = "http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"
_COUNTS = "http://schemas.microsoft.com/netservices/2011/06/servicebus"
_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
_QUEUES = "https://emulator/$Resources/queues"
_FOR_EVER = "P10675199DT2H48M5.4775807S"  # .NET's longest span
_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?)?")


def read_duration(text: str) -> float | None:
    """Seconds; None for ever. ValueError for what is no ISO 8601 duration."""
    match = _DURATION.fullmatch(text)
    if match is None or text in ("P", "PT"):
        raise ValueError(f"{text!r} is no ISO 8601 duration")
    days, hours, minutes, secs = (float(part or 0) for part in match.groups())
    return None if days >= 10_675_199 else ((days * 24 + hours) * 60 + minutes) * 60 + secs


def write_duration(seconds: float | None) -> str:
    if seconds is None:
        return _FOR_EVER
    return f"PT{seconds:.6f}".rstrip("0").rstrip(".") + "S"


def _write_bool(value: bool) -> str:
    return "true" if value else "false"


def _read_bool(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


_OPTIONS: dict[str, tuple[str, Callable[[str], Any], Callable[[Any], str]]] = {
    "LockDuration": ("lock_duration", read_duration, write_duration),
    "MaxSizeInMegabytes": ("max_size_in_megabytes", int, str),
    "RequiresDuplicateDetection": ("requires_duplicate_detection", _read_bool, _write_bool),
    "RequiresSession": ("requires_session", _read_bool, _write_bool),
    "DefaultMessageTimeToLive": ("default_message_time_to_live", read_duration, write_duration),
    "DeadLetteringOnMessageExpiration": ("dead_lettering_on_message_expiration", _read_bool, _write_bool),
    "DuplicateDetectionHistoryTimeWindow": ("duplicate_detection_history_time_window", read_duration, write_duration),
    "MaxDeliveryCount": ("max_delivery_count", int, str),
    "EnableBatchedOperations": ("enable_batched_operations", _read_bool, _write_bool),
    "Status": ("status", str, str),
    "UserMetadata": ("user_metadata", str, str),
}
# What the emulator can't do, and what does not ask for it.
_NOT_ASKED: dict[str, Callable[[str], bool]] = {
    "ForwardTo": lambda text: False,
    "ForwardDeadLetteredMessagesTo": lambda text: False,
    "AutoDeleteOnIdle": lambda text: read_duration(text) is None,
    "EnablePartitioning": lambda text: not _read_bool(text),
    "EnableExpress": lambda text: not _read_bool(text),
    "MaxMessageSizeInKilobytes": lambda text: text == "256",
}


def read_options(body: bytes) -> dict[str, Any]:
    """The options that a description names. ValueError or ParseError when it is none; Refused for what can't be done."""
    description = ElementTree.fromstring(body).find(f".//{{{_SERVICE_BUS}}}QueueDescription")
    if description is None:
        raise ValueError("it describes no queue")
    options: dict[str, Any] = {}
    for element in description:
        name, text = element.tag.rpartition("}")[2], element.text or ""
        if name in _OPTIONS and text:
            option, read, _ = _OPTIONS[name]
            options[option] = read(text)
        elif (name == "AuthorizationRules" and len(element)) or (
            text and name in _NOT_ASKED and not _NOT_ASKED[name](text)
        ):
            raise not_implemented(f"{name} {text!r}: the emulator can't do that; it")
    return options


def queue_entry(queue: Queue) -> str:
    options = queue.options
    values = {name: write(getattr(options, option)) for name, (option, _, write) in _OPTIONS.items()}
    if options.user_metadata is None:
        del values["UserMetadata"]
    dead = len(queue.dead_letters.messages) if queue.dead_letters is not None else 0
    active, scheduled = queue.count(State.ACTIVE, State.DEFERRED), queue.count(State.SCHEDULED)
    values |= {
        "SizeInBytes": str(queue.size),
        "MessageCount": str(active + scheduled + dead),
        "IsAnonymousAccessible": "false",
        "AuthorizationRules": "",
        "CreatedAt": _instant(queue.created_at),
        "UpdatedAt": _instant(queue.updated_at),
        "AccessedAt": _instant(queue.accessed_at),
        "SupportOrdering": "true",
        "AutoDeleteOnIdle": _FOR_EVER,
        "EnablePartitioning": "false",
        "EntityAvailabilityStatus": "Available",
        "EnableExpress": "false",
        "MaxMessageSizeInKilobytes": "256",
    }
    elements = {name: escape(value) for name, value in values.items()}
    elements["CountDetails"] = _count_details(active, dead, scheduled)
    fields = "".join(f"<{name}>{elements[name]}</{name}>" for name in _ORDER if name in elements)
    return _entry(queue.name, "QueueDescription", fields, queue.updated_at)


_ORDER = (
    *("LockDuration", "MaxSizeInMegabytes", "RequiresDuplicateDetection", "RequiresSession"),
    *("DefaultMessageTimeToLive", "DeadLetteringOnMessageExpiration", "DuplicateDetectionHistoryTimeWindow"),
    *("MaxDeliveryCount", "EnableBatchedOperations", "SizeInBytes", "MessageCount", "IsAnonymousAccessible"),
    *("AuthorizationRules", "Status", "UserMetadata", "CreatedAt", "UpdatedAt", "AccessedAt", "SupportOrdering"),
    *("CountDetails", "AutoDeleteOnIdle", "EnablePartitioning", "EntityAvailabilityStatus", "EnableExpress"),
    "MaxMessageSizeInKilobytes",
)


def _count_details(active: int, dead: int, scheduled: int) -> str:
    counts = {
        "ActiveMessageCount": active,
        "DeadLetterMessageCount": dead,
        "ScheduledMessageCount": scheduled,
        "TransferDeadLetterMessageCount": 0,
        "TransferMessageCount": 0,
    }
    return "".join(f'<d:{name} xmlns:d="{_COUNTS}">{count}</d:{name}>' for name, count in counts.items())


def namespace_document(now: float) -> str:
    values = {
        "CreatedTime": _instant(now),
        "MessagingSKU": "Standard",
        "ModifiedTime": _instant(now),
        "Name": "emulator",
        "NamespaceType": "Messaging",
    }
    return _entry("emulator", "NamespaceInfo", "".join(f"<{k}>{v}</{k}>" for k, v in values.items()), now)


def _entry(title: str, kind: str, fields: str, updated: float) -> str:
    return (
        f'<entry xmlns="{_ATOM}"><id>{escape(title)}</id><title type="text">{escape(title)}</title>'
        f"<updated>{_instant(updated)}</updated><author><name>emulator</name></author>"
        f'<content type="application/xml"><{kind} xmlns="{_SERVICE_BUS}" xmlns:i="{_INSTANCE}">{fields}</{kind}>'
        "</content></entry>"
    )


def feed(entries: Iterable[str], now: float, *, next_page: str | None = None) -> str:
    """`next_page`: the query of the page after this one, if there is one. The client looks for it in the second link."""
    links = f'<link rel="self" href="{_QUEUES}"/>'
    if next_page is not None:
        links += f'<link rel="next" href="{_QUEUES}?{escape(next_page)}"/>'
    return (
        f'<feed xmlns="{_ATOM}"><title type="text">Publicly Listed Services</title><id>emulator</id>'
        f"<updated>{_instant(now)}</updated>{links}{''.join(entries)}</feed>"
    )


def error_document(status: int, description: str) -> str:
    return f"<Error><Code>{status}</Code><Detail>{escape(description)}</Detail></Error>"


def _instant(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
