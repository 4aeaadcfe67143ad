"""The Service Bus emulator, in this process, on the running event loop."""

import asyncio
from collections import Counter
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from dtf_runtime.clock import REAL_CLOCK, Clock
from dtf_runtime.errors import Duration, InvalidArgumentError, seconds
from dtf_runtime.testing.servicebus.access import Access, Key, Right
from dtf_runtime.testing.servicebus.broker.namespace import Namespace
from dtf_runtime.testing.servicebus.broker.options import QueueOptions
from dtf_runtime.testing.servicebus.broker.queue import Queue
from dtf_runtime.testing.servicebus.broker.refusals import Refused
from dtf_runtime.testing.servicebus.broker.session_queue import SessionQueue
from dtf_runtime.testing.servicebus.certificate import Certificate
from dtf_runtime.testing.servicebus.clock import EmulatorClock
from dtf_runtime.testing.servicebus.doorway import Doorway
from dtf_runtime.testing.servicebus.faults import Faults
from dtf_runtime.testing.servicebus.links.host import Host

_LOOPBACK = "127.0.0.1"
_DURATIONS = ("lock_duration", "duplicate_detection_history_time_window", "default_message_time_to_live")


class ServiceBusEmulator:
    """`async with ServiceBusEmulator() as emulator`: a namespace that the unmodified `azure-servicebus` SDK talks to by
    `emulator.connection_string`. It listens on 127.0.0.1 alone; its queues are in memory and end with it.

    `port` 0: any free one. `key`: the root key's secret; a random one unless given. `clock`: what its time is taken from.
    MissingExtraError, with what to install, when `cryptography` is missing.
    """

    def __init__(self, *, port: int = 0, key: str | None = None, clock: Clock = REAL_CLOCK) -> None:
        self.faults = Faults()
        self.operations: Counter[str] = Counter()  # what clients did, by `Operation`; "empty_receive" besides
        self.clock = EmulatorClock(source=clock)
        self._port = port
        self._access = Access(key)
        self._namespace = Namespace(self.clock)
        self._doors: set[Doorway] = set()
        self._certificate: Certificate | None = None
        self._server: asyncio.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._next_ring: asyncio.TimerHandle | None = None

    # == Start and stop ===========================================================================================

    async def __aenter__(self) -> Self:
        self._certificate = Certificate()
        loop = self._loop = asyncio.get_running_loop()
        host = Host(loop, self.clock, self._namespace, self._access, self.faults, self.operations)
        tls = self._certificate.server_context()
        self._server = await loop.create_server(lambda: Doorway(host, tls, self._doors), _LOOPBACK, self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        self.clock.changed = self._set_ring
        self._set_ring()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clock.changed = lambda: None
        if self._next_ring is not None:
            self._next_ring.cancel()
        if self._server is not None:
            self._server.close()
        await asyncio.gather(*(door.closed.wait() for door in self._abort_all()))
        if self._certificate is not None:
            self._certificate.remove()
        self._server = self._loop = None

    def _set_ring(self) -> None:
        """Wakes us at the next alarm, as long as time runs."""
        if self._next_ring is not None:
            self._next_ring.cancel()
            self._next_ring = None
        due = self.clock.next_due()
        if self._loop is not None and due is not None and not self.clock.is_stopped:
            self._next_ring = self._loop.call_later(max(0.0, due - self.clock.now()), self._ring)

    def _ring(self) -> None:
        self._next_ring = None
        self.clock.ring()
        self._set_ring()

    # == Where it is ==============================================================================================

    @property
    def connection_string(self) -> str:
        """With the root key: all rights."""
        return self._connection_string(self._access.root)

    def add_key(self, name: str, *rights: str) -> str:
        """The connection string of a new key that has these rights only: "Send", "Listen", "Manage"."""
        return self._connection_string(self._access.add(name, frozenset(Right(right) for right in rights)))

    def _connection_string(self, key: Key) -> str:
        return (
            f"Endpoint=sb://{_LOOPBACK}:{self.port};SharedAccessKeyName={key.name};SharedAccessKey={key.secret};"
            "UseDevelopmentEmulator=true;"
        )

    @property
    def port(self) -> int:
        self._require_started()
        return self._port

    @property
    def certificate_file(self) -> str:
        """What the administration client needs: `connection_verify=emulator.certificate_file`."""
        self._require_started()
        assert self._certificate is not None
        return str(self._certificate.file)

    def _require_started(self) -> None:
        if self._server is None:
            raise InvalidArgumentError(
                "the Service Bus emulator does not run; write `async with ServiceBusEmulator() as emulator`"
            )

    # == Queues ===================================================================================================

    def create_queue(self, name: str, **options: Any) -> None:
        """With the options of the administration client's `create_queue`, by the same names; durations are timedeltas
        or seconds. InvalidArgumentError for what Service Bus would refuse.
        """
        for option in set(options) & set(_DURATIONS):
            if options[option] is not None:
                options[option] = seconds(options[option], option)
        try:
            self._namespace.create(name, QueueOptions(**options))
        except (Refused, TypeError) as refused:
            raise InvalidArgumentError(f"the queue {name!r} can't be created: {refused}") from refused

    def delete_queue(self, name: str) -> None:
        """With all that is in it; whoever receives from it is told. InvalidArgumentError when there is none."""
        self._find(name)
        self._namespace.delete(name)

    def count_messages(self, name: str) -> int:
        """How many are in the queue (`NAME/$DeadLetterQueue`: its dead letters), locked, deferred and scheduled ones
        included.
        """
        return len(self._find(name).messages)

    def _find(self, name: str) -> Queue:
        try:
            return self._namespace.find(name)
        except Refused as refused:
            raise InvalidArgumentError(f"{refused.description} The emulator has no queue of that name.") from refused

    # == Time and trouble =========================================================================================

    def advance(self, by: Duration) -> None:
        """The emulator's clock jumps ahead, and all that falls due on the way happens in order."""
        self.clock.advance(seconds(by, "the time to advance by"))

    def stop_clock(self) -> None:
        """The emulator's time stands still: nothing expires or falls due but by `advance`."""
        self.clock.stop()

    def resume_clock(self) -> None:
        """The emulator's time runs again, from where it stood."""
        self.clock.resume()

    def now(self) -> datetime:
        """The emulator's time, in UTC."""
        return datetime.fromtimestamp(self.clock.now(), UTC)

    def expire_locks(self, queue: str, *, session_id: str | None = None) -> int:
        """The locks of the queue's messages run out now; of its sessions, or that session, if it has sessions. Gives how
        many did.
        """
        found = self._find(queue)
        if session_id is not None and isinstance(found, SessionQueue):
            return found.expire_sessions(session_id)
        return found.expire_locks()

    def drop_connections(self, *, unnoticed: bool = False) -> int:
        """Every connection breaks, without a word. Gives how many did.

        `unnoticed`: by the emulator, as when a network is cut: sessions and messages stay locked until their locks end, and
        receivers take messages to nowhere, until 240 s have passed on its clock.
        """
        return len(self._abort_all(unnoticed=unnoticed))

    def _abort_all(self, *, unnoticed: bool = False) -> list[Doorway]:
        doors = list(self._doors)
        for door in doors:
            door.abort(unnoticed=unnoticed)
        return doors
