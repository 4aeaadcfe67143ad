"""The Service Bus emulator for code that has no event loop: it runs on one of its own, in a thread."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self, TypeVar

from dtf_runtime.clock import REAL_CLOCK, Clock
from dtf_runtime.errors import Duration, InvalidArgumentError
from dtf_runtime.testing.servicebus.emulator import ServiceBusEmulator
from dtf_runtime.testing.servicebus.faults import Faults

T = TypeVar("T")


class ServiceBusEmulatorThread:
    """`with ServiceBusEmulatorThread() as emulator`: as `ServiceBusEmulator`, and its methods may be called from any
    thread but the emulator's own. Each returns when it is done.
    """

    def __init__(self, *, port: int = 0, key: str | None = None, clock: Clock = REAL_CLOCK) -> None:
        self._emulator = ServiceBusEmulator(port=port, key=key, clock=clock)
        self._started: Future[asyncio.AbstractEventLoop] = Future()
        self._thread: threading.Thread | None = None
        self._stop: asyncio.Event | None = None

    def __enter__(self) -> Self:
        if self._thread is not None:
            raise InvalidArgumentError("a ServiceBusEmulatorThread runs once; make another one")
        self._thread = threading.Thread(target=self._run, name="servicebus-emulator", daemon=True)
        self._thread.start()
        self._started.result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._thread is not None and self._stop is not None, "__enter__ comes first"
        self._started.result().call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        async with self._emulator:
            self._started.set_result(asyncio.get_running_loop())
            await self._stop.wait()

    def _call(self, function: Callable[[], T]) -> T:
        async def call() -> T:
            return function()

        if not self._started.done():
            raise InvalidArgumentError(
                "the Service Bus emulator does not run; write `with ServiceBusEmulatorThread() as emulator`"
            )
        return asyncio.run_coroutine_threadsafe(call(), self._started.result()).result()

    @property
    def faults(self) -> Faults:
        return self._emulator.faults

    @property
    def operations(self) -> Counter[str]:
        return self._emulator.operations

    @property
    def connection_string(self) -> str:
        return self._call(lambda: self._emulator.connection_string)

    @property
    def port(self) -> int:
        return self._call(lambda: self._emulator.port)

    @property
    def certificate_file(self) -> str:
        return self._call(lambda: self._emulator.certificate_file)

    def add_key(self, name: str, *rights: str) -> str:
        return self._call(lambda: self._emulator.add_key(name, *rights))

    def create_queue(self, name: str, **options: Any) -> None:
        self._call(lambda: self._emulator.create_queue(name, **options))

    def delete_queue(self, name: str) -> None:
        self._call(lambda: self._emulator.delete_queue(name))

    def count_messages(self, name: str) -> int:
        return self._call(lambda: self._emulator.count_messages(name))

    def advance(self, by: Duration) -> None:
        self._call(lambda: self._emulator.advance(by))

    def stop_clock(self) -> None:
        self._call(self._emulator.stop_clock)

    def resume_clock(self) -> None:
        self._call(self._emulator.resume_clock)

    def expire_locks(self, queue: str, *, session_id: str | None = None) -> int:
        return self._call(lambda: self._emulator.expire_locks(queue, session_id=session_id))

    def drop_connections(self, *, unnoticed: bool = False) -> int:
        return self._call(lambda: self._emulator.drop_connections(unnoticed=unnoticed))
