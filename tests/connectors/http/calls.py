"""Calls the connector the way a worker does, with the idempotency key of a workflow's call or without one."""

import asyncio
from typing import Any

import pytest

from connectors.core import ConnectorError
from connectors.http import HttpConnection, HttpRequest, HttpResponse
from connectors.http.client import send
from connectors.http.wire import prepare

LOCAL = HttpConnection(allow_private=True)
"""Test servers are on this machine, which a connection must allow."""


async def call_async(
    url: str, method: str = "GET", *, key: str | None = None, through: HttpConnection = LOCAL, **more: Any
) -> HttpResponse:
    request = HttpRequest(url=url, method=method, **{"timeout": 5.0} | more)
    return await send(request, prepare(request, through, key), through, mark=key or "test")


def call(url: str, method: str = "GET", **more: Any) -> HttpResponse:
    return asyncio.run(call_async(url, method, **more))


def failure(url: str, method: str = "GET", **more: Any) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        call(url, method, **more)
    return caught.value
