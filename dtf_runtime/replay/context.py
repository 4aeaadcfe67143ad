"""What an orchestration gets as its first argument. Every answer repeats on replay."""

import hashlib
import logging
import random
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from types import UnionType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, overload
from uuid import UUID

from dtf_runtime.checks import MAX_NAME, check_instance_id, check_tags, check_text, check_version
from dtf_runtime.converter import decode, encode
from dtf_runtime.definitions import Call, ChildCall, Orchestration, RetryPolicy
from dtf_runtime.errors import Duration, InvalidArgumentError, seconds
from dtf_runtime.model.state import ParentInstance
from dtf_runtime.replay.futures import Limits
from dtf_runtime.tracing import ReplayAwareLogger

if TYPE_CHECKING:
    from dtf_runtime.replay.execution import Execution

_I = TypeVar("_I")
_T = TypeVar("_T")
_NONE: Any = object()
_logger = logging.getLogger("dtf_runtime.orchestration.user")


class OrchestrationContext:
    """The durable side of what asyncio can't give: identity, time, chance, events, children by name."""

    def __init__(self, execution: "Execution") -> None:
        self._execution = execution
        self._random: random.Random | None = None
        self._uuids = 0
        self._logger: logging.LoggerAdapter[logging.Logger] | None = None

    @property
    def instance_id(self) -> str:
        return self._execution.instance_id

    @property
    def execution_id(self) -> str:
        """Of this execution: a continue-as-new or a restart has another one."""
        return self._execution.execution_id

    @property
    def name(self) -> str:
        return self._execution.record.name

    @property
    def version(self) -> str:
        """The version that this instance started with."""
        return self._execution.record.version

    @property
    def parent(self) -> ParentInstance | None:
        link = self._execution.record.parent
        return None if link is None else ParentInstance(link.instance_id, link.execution_id, link.name, link.version)

    @property
    def tags(self) -> Mapping[str, str]:
        return dict(self._execution.record.tags)

    @property
    def is_replaying(self) -> bool:
        return self._execution.replaying

    @property
    def history_length(self) -> int:
        """Events fed and decisions made so far, the same at this point of every replay: to decide on `continue_as_new`."""
        return self._execution.fed + self._execution.number

    @property
    def logger(self) -> "logging.LoggerAdapter[logging.Logger]":
        """Silent while replaying."""
        if self._logger is None:
            execution = self._execution
            self._logger = ReplayAwareLogger(
                _logger,
                lambda: execution.replaying,
                {"instance_id": execution.instance_id, "execution_id": execution.execution_id},
            )
        return self._logger

    @property
    def random(self) -> random.Random:
        """Seeded by the execution: the same numbers at every replay."""
        if self._random is None:
            self._random = random.Random(self._execution.execution_id)
        return self._random

    def now(self) -> datetime:
        """The time in history, UTC. Never behind an earlier answer."""
        return self._execution.now()

    def uuid4(self) -> UUID:
        """The same at every replay."""
        self._uuids += 1
        digest = hashlib.blake2b(f"{self.execution_id}/uuid/{self._uuids}".encode(), digest_size=16).digest()
        return UUID(bytes=digest, version=4)

    @overload
    def wait_for_event(self, name: str) -> Call[Any]: ...
    @overload
    def wait_for_event(self, name: str, type: type[_T]) -> Call[_T]: ...
    @overload
    def wait_for_event(self, name: str, type: UnionType) -> Call[Any]: ...
    def wait_for_event(self, name: str, type: Any = Any) -> Call[Any]:
        """The next external event of that name that nobody has taken, decoded as `type`: SerializationError here when it is something else, and
        the event is consumed. Waiters of one name are served first come, first served."""
        return self._execution.wait_for_event(check_text(name, "the name of an event", longest=MAX_NAME), type)

    def send_event(self, instance_id: str, name: str, payload: object = None) -> None:
        """Raises an event on another instance. To one that is not there or has ended: dropped and traced."""
        check_instance_id(instance_id)
        check_text(name, "the name of an event", longest=MAX_NAME)
        self._execution.send_event(instance_id, name, encode(payload, f"the payload of event {name!r}"))

    def set_custom_status(self, value: object) -> None:
        """Any JSON-able value, seen by `get_state`; kept over `continue_as_new`."""
        self._execution.check_open()
        self._execution.custom_status = encode(value, f"the custom status of {self.instance_id!r}")

    def continue_as_new(
        self, input: object = _NONE, *, version: str | None = None, carry_events: bool = True
    ) -> NoReturn:
        """Ends this execution and starts the next one of this instance, with a new history. `finally` blocks run, a Saga does not compensate."""
        data = None if input is _NONE else encode(input, f"the next input of {self.instance_id!r}")
        if version is not None:
            check_version(version)
        self._execution.continue_as_new(data, version, carry_events)
        raise AssertionError

    def patched(self, change_id: str) -> bool:
        """True in executions that reach this point first with code that asks: new code runs there, the old code in older ones."""
        return self._execution.patched(check_text(change_id, "a change id", longest=MAX_NAME))

    def call_activity(
        self,
        name: str,
        *args: object,
        kwargs: Mapping[str, object] | None = None,
        version: str | None = None,
        result_type: Any = Any,
        retry: RetryPolicy | None = None,
        timeout: Duration | None = None,
        heartbeat_timeout: Duration | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Call[Any]:
        """An activity by name, for code that is not importable here."""
        self._execution.check_open()
        check_text(name, "the name of an activity", longest=MAX_NAME)
        what = f"an argument of activity {name!r}"
        data = encode({"args": args, "kwargs": kwargs}, what) if kwargs else encode(args, what)
        limits = Limits(
            timeout=None if timeout is None else seconds(timeout, "timeout"),
            heartbeat_timeout=None if heartbeat_timeout is None else seconds(heartbeat_timeout, "heartbeat_timeout"),
            tags=check_tags(tags or {}),
        )
        version = "" if version is None else check_version(version)
        decoder = partial(_decode_as, result_type)
        return self._execution.schedule_activity(name, version, data, limits, _policy(retry), decoder)

    def call_sub_orchestration(
        self,
        name: str,
        input: object = _NONE,
        *,
        version: str = "",
        instance_id: str | None = None,
        result_type: Any = Any,
        retry: RetryPolicy | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> ChildCall[Any]:
        """A child by name, for code that is not importable here."""
        self._execution.check_open()
        check_text(name, "the name of an orchestration", longest=MAX_NAME)
        return self._execution.schedule_child(
            name=name,
            version=check_version(version),
            data=b"" if input is _NONE else encode(input, f"the input of orchestration {name!r}"),
            instance_id=None if instance_id is None else check_instance_id(instance_id),
            tags=dict(check_tags(tags or {})),
            policy=_policy(retry),
            decoder=partial(_decode_as, result_type),
        )

    @overload
    def start(
        self,
        orchestration: Callable[[], ChildCall[Any]],
        /,
        *,
        version: str | None = None,
        instance_id: str | None = None,
        tags: Mapping[str, str] = ...,
    ) -> str: ...
    @overload
    def start(
        self,
        orchestration: Callable[[_I], ChildCall[Any]],
        input: _I,
        /,
        *,
        version: str | None = None,
        instance_id: str | None = None,
        tags: Mapping[str, str] = ...,
    ) -> str: ...
    @overload
    def start(
        self,
        orchestration: str,
        input: object = ...,
        /,
        *,
        version: str | None = None,
        instance_id: str | None = None,
        tags: Mapping[str, str] = ...,
    ) -> str: ...
    def start(
        self,
        orchestration: Any,
        /,
        *inputs: Any,
        version: str | None = None,
        instance_id: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Fire and forget: gives its id. It has no parent, outlives this instance, and its failure is its own; an id that is taken is left alone
        (traced, not raised)."""
        self._execution.check_open()
        if isinstance(orchestration, Orchestration):
            name, own_version = orchestration.name, orchestration.version
            data = orchestration.parameters.encode_input_call(inputs, {}, f"the input of orchestration {name!r}")
        elif isinstance(orchestration, str):
            name, own_version = check_text(orchestration, "the name of an orchestration", longest=MAX_NAME), ""
            data = encode(inputs[0], f"the input of orchestration {name!r}") if inputs else b""
        else:
            raise InvalidArgumentError(f"ctx.start takes an orchestration or its name, not {orchestration!r}")
        return self._execution.start_detached(
            name,
            own_version if version is None else check_version(version),
            data,
            None if instance_id is None else check_instance_id(instance_id),
            dict(check_tags(tags or {})),
        )


def _decode_as(result_type: Any, data: Any, what: str) -> Any:
    return decode(data, result_type, what)


def _policy(retry: RetryPolicy | None) -> RetryPolicy | None:
    if retry is not None and not isinstance(retry, RetryPolicy):
        raise InvalidArgumentError(f"retry must be a RetryPolicy or None, not {retry!r}")
    return retry
