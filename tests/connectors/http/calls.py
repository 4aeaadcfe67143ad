"""Calls the connector the way a worker does, with the idempotency key of a workflow's call or without one."""

import asyncio
from typing import Any

import pytest

from connectors.http.errors import HttpError
from connectors.http.models import HttpRequest, HttpResponse
from connectors.http.transport import send
from connectors.http.wire import prepare


def call(url: str, method: str = "GET", *, key: str | None = None, timeout: float = 5.0, **more: Any) -> HttpResponse:
    return asyncio.run(send(prepare(HttpRequest(url=url, method=method, timeout=timeout, **more), key)))


def failure(url: str, method: str = "GET", *, key: str | None = None, **more: Any) -> HttpError:
    with pytest.raises(HttpError) as caught:
        call(url, method, key=key, **more)
    return caught.value
