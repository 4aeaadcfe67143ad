"""`python -m bench.kit`: what the connector kit costs beside the bare library, with a transport in this process that answers at once.

Prints, for HTTP and AWS: microseconds a call through the activity's function, through the library alone, and the difference, which may be 300.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import boto3
import httpx
from botocore.awsrequest import AWSResponse
from botocore.httpsession import URLLib3Session

from connectors.aws import AwsConnection
from connectors.aws.ec2 import DescribeInstances, describe_instances
from connectors.core import Secret, using
from connectors.http import HttpConnection, HttpRequest, request

TARGET = 300.0  # microseconds
_CALLS, _ROUNDS = 300, 7
_XML = b'<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><reservationSet/></DescribeInstancesResponse>'
_URL = "http://127.0.0.1:9/"


class _Raw:
    """What urllib3 gives botocore."""

    def stream(self, **_: Any) -> list[bytes]:
        return [_XML]


def _aws_answer(session: Any, request: Any) -> AWSResponse:
    return AWSResponse(request.url, 200, {"content-type": "text/xml"}, _Raw())


async def _http_answer(transport: Any, request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, stream=httpx.ByteStream(b"[]"), request=request)


def _each(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    for _ in range(_CALLS):
        call()
    return (time.perf_counter() - began) / _CALLS * 1e6


async def _each_async(call: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    for _ in range(_CALLS):
        await call()
    return (time.perf_counter() - began) / _CALLS * 1e6


def aws() -> tuple[float, float]:
    """(ours, bare) in microseconds, medians of rounds that take turns."""
    given = {
        "region": "eu-central-1",
        "access_key_id": Secret("AKIAIOSFODNN7EXAMPLE"),
        "secret_access_key": Secret("a secret key"),
    }
    bare = boto3.client(
        "ec2",
        region_name="eu-central-1",
        aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
        aws_secret_access_key="a secret key",
    )
    send, URLLib3Session.send = URLLib3Session.send, _aws_answer
    try:
        with using(AwsConnection(**given)):  # type: ignore[arg-type]
            rounds = [
                (_each(lambda: describe_instances.fn(DescribeInstances())), _each(bare.describe_instances))
                for _ in range(_ROUNDS + 1)
            ]
    finally:
        URLLib3Session.send = send
    return _medians(rounds[1:])


async def http() -> tuple[float, float]:
    transport: Any = httpx.AsyncHTTPTransport
    handle, transport.handle_async_request = transport.handle_async_request, _http_answer
    try:
        async with httpx.AsyncClient() as bare:
            with using(HttpConnection(allow_private=True)):
                rounds = [
                    (
                        await _each_async(lambda: request.fn(HttpRequest(url=_URL))),
                        await _each_async(lambda: bare.get(_URL)),
                    )
                    for _ in range(_ROUNDS + 1)
                ]
    finally:
        transport.handle_async_request = handle
    return _medians(rounds[1:])


def _medians(rounds: list[tuple[float, float]]) -> tuple[float, float]:
    return statistics.median(ours for ours, _ in rounds), statistics.median(bare for _, bare in rounds)


def main() -> None:
    for name, (ours, bare) in (("http.request", asyncio.run(http())), ("aws.ec2.describe_instances", aws())):
        verdict = "met" if ours - bare <= TARGET else "OVER"
        print(
            f"{name:<28} {ours:7.0f} us, bare {bare:7.0f} us, the kit's own {ours - bare:6.0f} us (<= {TARGET:.0f}: {verdict})"
        )


if __name__ == "__main__":
    main()
