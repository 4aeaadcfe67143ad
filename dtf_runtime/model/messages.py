"""What reaches an instance between its turns. A message is addressed by instance, and by execution where another one must not get it.

Events and controls carry an id: one delivered twice is recognised and changes nothing. A result is recognised by (execution, number, attempt).
"""

from datetime import datetime
from typing import Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from dtf_runtime.errors import FailureDetails
from dtf_runtime.model.state import OrchestrationStatus, ParentLink


class Message(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="kind", tag=True, gc=False):
    """`execution_id` empty: for whichever execution the instance has."""

    execution_id: str = ""


class ActivityResult(Message, kw_only=True, omit_defaults=True, tag=True):
    """Exactly one of `result` and `failure`. `heartbeat`: the last details, for the next attempt."""

    number: int
    attempt: int = 1
    result: Raw | UnsetType = UNSET
    failure: FailureDetails | None = None
    heartbeat: Raw | UnsetType = UNSET


class ChildResult(Message, kw_only=True, omit_defaults=True, tag=True):
    number: int
    attempt: int = 1
    status: OrchestrationStatus
    result: Raw | UnsetType = UNSET
    failure: FailureDetails | None = None


class TimerDue(Message, kw_only=True, omit_defaults=True, tag=True):
    number: int
    fire_at: datetime


class ExternalEvent(Message, kw_only=True, omit_defaults=True, tag=True):
    id: str
    name: str
    payload: Raw


class Control(Message, kw_only=True, omit_defaults=True, tag=True):
    id: str
    action: Literal["cancel", "suspend", "resume", "rewind"]
    reason: str = ""


AnyMessage = ActivityResult | ChildResult | TimerDue | ExternalEvent | Control


class ActivityTask(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One attempt of one activity call, on its way to a worker. Durations in seconds."""

    number: int
    attempt: int = 1
    name: str
    version: str = ""
    input: Raw
    timeout: float | None = None
    heartbeat_timeout: float | None = None
    tags: dict[str, str] = {}
    due: datetime | None = None
    heartbeat: Raw | UnsetType = UNSET


class StartExecution(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A new execution of an instance: from a client, a parent, `ctx.start` (detached: `parent` is None, `creator` says who) or continue-as-new."""

    instance_id: str
    execution_id: str
    name: str
    version: str = ""
    input: Raw | UnsetType = UNSET
    tags: dict[str, str] = {}
    parent: ParentLink | None = None
    due: datetime | None = None


_message_decoder = msgspec.json.Decoder(AnyMessage)
_task_decoder = msgspec.json.Decoder(ActivityTask)
_encoder = msgspec.json.Encoder()


def encode_message(message: Message | ActivityTask | StartExecution) -> bytes:
    return _encoder.encode(message)


def decode_message(data: bytes | str) -> Message:
    return _message_decoder.decode(data)  # type: ignore[no-any-return]


def decode_task(data: bytes | str) -> ActivityTask:
    return _task_decoder.decode(data)
