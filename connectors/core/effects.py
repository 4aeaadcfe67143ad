"""Every activity says how it is effectively once, and what it needs to be allowed to do. Conformance checks hold it to that.

The key of a call is the runtime's `idempotency_key`: the same for every delivery and durable retry of one logical call, another for every other
call. `call_key` binds it to the parameters and to the logical attempt (a fallback to another zone is a new one), so that a service which refuses
a known token with other parameters never sees that.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Any, TypeVar

import msgspec

from connectors.core.errors import InvalidRequest
from dtf_runtime import Activity, OutsideActivityError, activity_context

_A = TypeVar("_A", bound="Activity[..., Any]")
_encode = msgspec.json.Encoder(order="deterministic").encode


class Effect(StrEnum):
    READ = "read"
    """Changes nothing."""
    TOKEN = "token"
    """The service takes a token, and answers a known one with what it did before."""
    NATURAL = "natural"
    """The request itself names what it makes or how it shall be: a second one changes nothing."""
    CONDITIONAL = "conditional"
    """The request says in which state it applies."""
    LOOKUP = "lookup"
    """What an earlier delivery did is looked for, and adopted."""
    AT_LEAST_ONCE = "at least once"
    """Nothing tells a repeat from a second one. Said in the docs, since it can't be helped."""


@dataclass(frozen=True, kw_only=True)
class Declaration:
    effect: Effect
    how: str
    """The parameter, tag or header that does it; for `at least once`, why nothing does."""
    permissions: tuple[str, ...] = ()
    """What the credentials must be allowed to do, in the service's own terms."""


def declare(effect: Effect, how: str = "", *, permissions: tuple[str, ...] = ()) -> Callable[[_A], _A]:
    """Above `@activity(...)`. `how` may be empty for a read only.

    It becomes the activity's attribute `declaration`, which is where `dtf connectors describe` looks: the runtime imports no connector.
    """

    def note(activity: _A) -> _A:
        if effect is not Effect.READ and not how:
            raise ValueError(f"{activity.name} must say how it is {effect.value}")
        vars(activity)["declaration"] = Declaration(effect=effect, how=how, permissions=permissions)
        return activity

    return note


def declaration_of(activity: "Activity[..., Any]") -> Declaration | None:
    """None when it declared nothing."""
    found = vars(activity).get("declaration")
    return found if isinstance(found, Declaration) else None


class Mutation(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the output of every activity that changes something."""

    request_id: str = ""
    """The service's own id of the request, for its support desk."""
    replayed: bool = False
    """An earlier delivery had done it already; its result was found and adopted."""


def call_key(parameters: object = None, *, attempt: str = "", length: int = 32) -> str:
    """The idempotency key of this call: hex digits, at most 64.

    `parameters`: JSON-like, or a Struct; the same call with others has another key. `attempt` names a new logical attempt within one call. Outside
    of an activity every call is one of its own, so the key is random.
    """
    if not 16 <= length <= 64:
        raise InvalidRequest(f"a key has 16 to 64 digits, not {length}")
    try:
        base = activity_context().idempotency_key
    except OutsideActivityError:
        from uuid import uuid4

        base = uuid4().hex
    digest = blake2b(f"{base}\0{attempt}\0".encode(), digest_size=32)
    digest.update(_encode(parameters))
    return digest.hexdigest()[:length]
