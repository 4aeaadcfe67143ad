"""One client a connection, made at its first use and shared by the threads of the worker: making one costs more than a call."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

from connectors.core.connections import Connection

_T = TypeVar("_T")
_C = TypeVar("_C", bound=Connection)
_MOST = 256

_clients: "OrderedDict[tuple[Any, ...], Any]" = OrderedDict()
_making: dict[tuple[Any, ...], threading.Lock] = {}
_lock = threading.Lock()


def client_of(connection: _C, make: Callable[[_C], _T], *parts: object) -> _T:
    """`make(connection)`, once for equal connections and `parts` (a service, a region). From any thread."""
    key = (make, connection, *parts)
    with _lock:
        if key in _clients:
            _clients.move_to_end(key)
            found: _T = _clients[key]
            return found
        turn = _making.setdefault(key, threading.Lock())
    with turn:  # one thread makes it, others of the same key wait
        with _lock:
            if key in _clients:
                made: _T = _clients[key]
                return made
        made = make(connection)
        with _lock:
            _clients[key] = made
            _making.pop(key, None)
            while len(_clients) > _MOST:
                _clients.popitem(last=False)
    return made


def forget_clients() -> None:
    """For tests, and for programs that change what a connection's name stands for while they run."""
    with _lock:
        _clients.clear()
