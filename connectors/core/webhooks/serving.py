"""Runs the app with uvicorn, of the extra `http`. It logs no addresses: a link's address is its key.

ASGI sees a request once its headers are complete, so who sends those slowly is shown out here.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Literal

from dtf_runtime.plugins import require


async def serve(app: Any, *, host: str = "127.0.0.1", port: int = 8080, header_timeout: float = 10.0) -> None:
    """Until SIGINT or SIGTERM. `header_timeout`: seconds for the headers of a request. TLS belongs to the proxy in front of it."""
    await server_of(app, host=host, port=port, header_timeout=header_timeout).serve()


@asynccontextmanager
async def running(
    app: Any, *, host: str = "127.0.0.1", port: int = 0, header_timeout: float = 10.0
) -> AsyncIterator[str]:
    """Beside other things of a program, whose signals it leaves alone: `async with running(app) as url`. Port 0: any that is free.

    Raises OSError when the address is taken or the inbox can't be opened.
    """
    # The app is entered here: uvicorn would end the process when it can't start.
    with socket.create_server((host, port)) as listening:
        async with app:
            server = _server(app, host, port, header_timeout, "off")
            server.capture_signals = _no_signals
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            try:
                while not (server.started or serving.done()):  # noqa: ASYNC110, uvicorn has no event for it
                    await asyncio.sleep(0.005)
                yield f"http://{host}:{listening.getsockname()[1]}"
            finally:
                server.should_exit = True
                await serving


@contextmanager
def _no_signals() -> Iterator[None]:
    yield


def server_of(app: Any, *, host: str = "127.0.0.1", port: int = 8080, header_timeout: float = 10.0) -> Any:
    """The `uvicorn.Server`, for programs that run it by themselves."""
    return _server(app, host, port, header_timeout, "on")


def _server(app: Any, host: str, port: int, header_timeout: float, lifespan: Literal["on", "off"]) -> Any:
    uvicorn = require("uvicorn", "http")
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            http=_impatient(header_timeout),
            ws="none",
            lifespan=lifespan,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=10,
            limit_concurrency=2_000,
            h11_max_incomplete_event_size=32 * 1024,
        )
    )


def _impatient(patience: float) -> Any:
    import h11
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Impatient(H11Protocol):
        """Closes a connection whose request line and headers take longer than that."""

        _waiting: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            if self._waiting is not None:
                self._waiting.cancel()

        def _watch(self) -> None:
            is_waiting = self.conn.their_state is h11.IDLE
            if is_waiting and self._waiting is None:
                self._waiting = self.loop.call_later(patience, self._show_out)
            elif not is_waiting and self._waiting is not None:
                self._waiting.cancel()
                self._waiting = None

        def _show_out(self) -> None:
            self._waiting = None
            if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
                self.transport.close()

    return Impatient
