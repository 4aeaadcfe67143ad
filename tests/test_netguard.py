"""No test leaves this machine, and one that tries fails even when the code under test swallows the refusal."""

import asyncio
import socket

import pytest

from tests.netguard import NonLoopbackSocketError

pytest_plugins = ["pytester"]

ELSEWHERE = "192.0.2.1"  # reserved for documentation: nobody answers there


def test_a_connection_to_elsewhere_is_refused(loopback_only: list[str]) -> None:
    with socket.socket() as sock, pytest.raises(NonLoopbackSocketError, match=r"192\.0\.2\.1"):
        sock.connect((ELSEWHERE, 80))
    assert len(loopback_only) == 1
    loopback_only.clear()


def test_a_datagram_to_elsewhere_is_refused(loopback_only: list[str]) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sock, pytest.raises(NonLoopbackSocketError):
        sock.sendto(b"hello", (ELSEWHERE, 53))
    loopback_only.clear()


def test_a_foreign_name_is_not_looked_up(loopback_only: list[str]) -> None:
    with pytest.raises(NonLoopbackSocketError, match=r"example\.com"):
        socket.getaddrinfo("example.com", 443)
    loopback_only.clear()


def test_a_server_for_the_whole_network_is_refused(loopback_only: list[str]) -> None:
    with socket.socket() as sock, pytest.raises(NonLoopbackSocketError):
        sock.bind(("0.0.0.0", 0))
    loopback_only.clear()


async def test_asyncio_is_guarded_too(loopback_only: list[str]) -> None:
    with pytest.raises(NonLoopbackSocketError):
        await asyncio.open_connection(ELSEWHERE, 80)
    loopback_only.clear()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_loopback_is_free(host: str) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read(5))
        writer.close()

    async with await asyncio.start_server(echo, host, 0) as server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"hello")
        assert await reader.read(5) == b"hello"
        writer.close()
        await writer.wait_closed()


def test_a_swallowed_refusal_still_fails_the_test(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("from tests.netguard import loopback_only\n")
    pytester.makepyfile(
        f"""
        import contextlib, socket

        def test_it_swallows_everything():
            with contextlib.suppress(Exception), socket.socket() as sock:
                sock.connect(("{ELSEWHERE}", 80))
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:xdist", "-o", "asyncio_default_fixture_loop_scope=function")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*tried to leave this machine*"])
