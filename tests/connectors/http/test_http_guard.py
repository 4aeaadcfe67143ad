"""What a request may reach: an address that comes from outside must not get at what only this machine can."""

import asyncio
import ipaddress
import logging
from collections.abc import Sequence
from pathlib import Path

import pytest
import vcr

from connectors.core import AddressRefused, InvalidRequest, Secret
from connectors.core.addresses import check_host, kind_of
from connectors.http import HttpConnection, HttpResponse
from dtf_runtime import NonRetriableError
from tests.connectors.http.calls import call, call_async, failure
from tests.connectors.http.rude_server import RudeServer, answer

STRICT = HttpConnection()
PUBLIC = "93.184.216.34"


class Names:
    """A resolver that gives the answers in turn, the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def by_name(server: RudeServer, name: str = "rebound.example", path: str = "/") -> str:
    return f"http://{name}:{server.port}{path}"


# -- On the wire ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.255.255.254",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
        "2130706433",
        "0x7f000001",
        "0x7f.0x0.0x0.0x1",
        "017700000001",
        "127.1",
        "0.0.0.0",
        "[::]",
    ],
)
def test_this_machine_is_refused_however_its_address_is_written(server: RudeServer, host: str) -> None:
    server.on("/", answer(200))
    error = failure(f"http://{host}:{server.port}/", through=STRICT)
    assert isinstance(error, AddressRefused)
    assert isinstance(error, NonRetriableError)
    assert "allow_hosts" in str(error)
    assert server.connections == 0


def test_octal_parts_are_no_address_at_all(server: RudeServer) -> None:
    server.on("/", answer(200))
    assert isinstance(failure(f"http://0177.0.0.1:{server.port}/", through=STRICT), InvalidRequest)
    assert server.connections == 0


@pytest.mark.parametrize(
    "found",
    [
        ["127.0.0.1"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["2002:7f00:0001::1"],
        ["10.0.0.1"],
        ["169.254.169.254"],
        ["fe80::1%eth0"],
        [PUBLIC, "127.0.0.1"],
        [PUBLIC, "::1"],
    ],
)
def test_a_name_is_refused_when_one_of_its_addresses_is(server: RudeServer, found: list[str]) -> None:
    server.on("/", answer(200))
    error = failure(by_name(server), through=HttpConnection(resolver=Names(found)))
    assert type(error) is AddressRefused
    assert server.connections == 0


def test_a_name_that_is_public_when_it_is_judged_and_this_machine_when_it_is_connected_to_gets_nowhere(
    server: RudeServer, loopback_only: list[str]
) -> None:
    server.on("/", answer(200))
    names = Names([PUBLIC], ["127.0.0.1"])
    with pytest.raises(Exception) as caught:  # the tests' own guard stops it
        call(by_name(server), through=HttpConnection(resolver=names))
    assert loopback_only == [f"socket.connect to {PUBLIC!r}"], caught.value  # the judged address, and no other
    loopback_only.clear()
    assert len(names.asked) == 1
    assert server.connections == 0


def test_every_new_connection_looks_the_name_up_and_judges_it_again(server: RudeServer) -> None:
    url_path = server.on("/", answer(200, b"hi", "Connection: close"))
    assert url_path
    names = Names(["127.0.0.1"], ["127.0.0.2"])
    through = HttpConnection(resolver=names, allow_hosts=("127.0.0.1",))

    async def twice() -> None:
        assert (await call_async(by_name(server), through=through)).text == "hi"
        await asyncio.to_thread(server.wait_until_closed)
        with pytest.raises(AddressRefused):
            await call_async(by_name(server), through=through)

    asyncio.run(twice())
    assert len(server.received) == 1


def test_the_server_still_sees_the_name_it_is_called_by(server: RudeServer) -> None:
    server.on("/", answer(200))
    through = HttpConnection(resolver=Names(["127.0.0.1"]), allow_private=True)
    call(by_name(server, "shop.example"), through=through)
    assert server.received[0].headers["host"] == f"shop.example:{server.port}"


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1:{port}/secret",
        "http://[::ffff:127.0.0.1]:{port}/secret",
        "http://[64:ff9b::7f00:1]:{port}/secret",
        "http://2130706433:{port}/secret",
        "http://0x7f000001:{port}/secret",
        "http://inside.example:{port}/secret",
        "//127.0.0.1:{port}/secret",
    ],
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_judged_like_the_first_address(server: RudeServer, target: str, status: int) -> None:
    with RudeServer() as inside:
        inside.on("/secret", answer(200, b"s3cret"))
        server.on("/", answer(status, b"", "Location: " + target.format(port=inside.port)))
        # The first server is allowed by its name; nothing else on this machine is.
        names = Names(["127.0.0.1"])
        through = HttpConnection(resolver=names, allow_hosts=("outside.example",))
        error = failure(by_name(server, "outside.example"), through=through)
        assert type(error) is AddressRefused
        assert (len(server.received), inside.connections) == (1, 0)


def test_a_proxy_is_not_asked_for_what_is_refused(server: RudeServer) -> None:
    server.on("http://inside.example/", answer(200, b"s3cret"))
    proxy = HttpConnection(proxy=Secret(f"http://127.0.0.1:{server.port}"), resolver=Names(["10.0.0.7"]))
    assert type(failure("http://inside.example/", through=proxy)) is AddressRefused
    assert type(failure("http://10.0.0.7/", through=proxy)) is AddressRefused
    assert server.connections == 0


def test_a_proxy_gets_what_cannot_be_looked_up_here_and_everything_public(server: RudeServer) -> None:
    server.on("http://far.example/x", answer(200, b"by proxy"))

    async def unknown(host: str, port: int) -> Sequence[str]:
        raise OSError("no such name here")

    for resolver in (unknown, Names([PUBLIC])):
        proxy = HttpConnection(proxy=Secret(f"http://127.0.0.1:{server.port}"), resolver=resolver)
        assert call("http://far.example/x", through=proxy).text == "by proxy"


# -- Allowed when configured ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("127.0.0.1", HttpConnection(allow_private=True)),
        ("127.0.0.1", HttpConnection(allow_hosts=("127.0.0.1",))),
        ("127.0.0.1", HttpConnection(allow_hosts=("127.0.0.0/8",))),
        ("2130706433", HttpConnection(allow_private=True)),
        ("2130706433", HttpConnection(allow_hosts=("127.0.0.1",))),
        ("0x7f000001", HttpConnection(allow_hosts=("0x7f000001",))),
        ("017700000001", HttpConnection(allow_private=True)),
        ("localhost", HttpConnection(allow_private=True)),
        ("localhost", HttpConnection(allow_hosts=("localhost",))),
        ("[::ffff:127.0.0.1]", HttpConnection(allow_private=True)),
        ("a.inside.example", HttpConnection(resolver=Names(["127.0.0.1"]), allow_hosts=("*.inside.example",))),
        ("A.Inside.Example", HttpConnection(resolver=Names(["127.0.0.1"]), allow_hosts=("a.inside.example",))),
    ],
)
def test_what_the_connection_allows_is_reached(server: RudeServer, host: str, allowed: HttpConnection) -> None:
    server.on("/", answer(200, b"hi"))
    got: HttpResponse = call(f"http://{host}:{server.port}/", through=allowed)
    assert got.text == "hi"


def test_a_name_that_only_ends_like_an_allowed_one_is_not_allowed(server: RudeServer) -> None:
    through = HttpConnection(resolver=Names(["127.0.0.1"]), allow_hosts=("*.inside.example", "inside.test"))
    for name in ("evilinside.example", "inside.example", "evilinside.test", "a.inside.test"):
        assert type(failure(by_name(server, name), through=through)) is AddressRefused
    assert server.connections == 0


# -- The judgement --------------------------------------------------------------------------------------------------

PRIVATE = ["127.0.0.1", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "::1", "fd12::1"]
NEVER = [
    *("169.254.169.254", "169.254.0.1", "fe80::1", "fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
    *("0.0.0.0", "0.1.2.3", "::", "224.0.0.1", "255.255.255.255", "240.0.0.1", "ff02::1", "2001:db8::1", "203.0.113.1"),
    *("64:ff9b:1::1", "64:ff9b::169.254.169.254", "::ffff:169.254.169.254", "2002:a9fe:a9fe::", "2001:0:1::1"),
]
FINE = [PUBLIC, "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1", "64:ff9b::8.8.8.8", "::ffff:8.8.8.8"]


def unmapped(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    address = ipaddress.ip_address(text)
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_refused_unless_private_ones_are_allowed(address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(AddressRefused):
        check_host(host, allow_private=False, allow_hosts=())
    assert check_host(host, allow_private=True, allow_hosts=()) == unmapped(address)


@pytest.mark.parametrize("address", NEVER)
def test_a_metadata_or_special_address_needs_to_be_named(address: str) -> None:
    with pytest.raises(AddressRefused):
        check_host(address, allow_private=True, allow_hosts=())
    assert check_host(address, allow_private=False, allow_hosts=(address,)) == unmapped(address)


@pytest.mark.parametrize("address", FINE)
def test_an_ordinary_address_is_fine(address: str) -> None:
    assert kind_of(ipaddress.ip_address(address)) == ("", False)


@pytest.mark.parametrize("host", ["134744072", "0x08080808", "010.010.010.010", "8.2056", "8.8.8.0x8", "256.1.1.1.1"])
def test_a_number_that_is_not_written_as_an_address_is_refused_wherever_it_leads(host: str) -> None:
    with pytest.raises(AddressRefused, match="hides"):
        check_host(host, allow_private=False, allow_hosts=())


@pytest.mark.parametrize("host", ["metadata.google.internal", "Metadata.Google.Internal.", "metadata", "instance-data"])
def test_the_names_of_metadata_services_are_refused_before_they_are_looked_up(host: str) -> None:
    names = Names(["127.0.0.1"])
    assert (
        type(failure(f"http://{host}/", through=HttpConnection(resolver=names, allow_private=True))) is AddressRefused
    )
    assert not names.asked


def test_the_default_connection_reaches_nothing_private(server: RudeServer) -> None:
    url = server.on("/", answer(200))
    assert type(failure(url, through=HttpConnection())) is AddressRefused


# -- Proxies of the environment ---------------------------------------------------------------------------------------


def test_the_environments_proxies_are_asked_except_for_what_it_excludes(
    server: RudeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", f"127.0.0.1:{server.port}")
    monkeypatch.setenv("no_proxy", "near.example, 10.0.0.1")
    server.on("http://far.example/", answer(200, b"by proxy"))
    server.on("/", answer(200, b"directly"))
    through = HttpConnection(resolver=Names(["127.0.0.1"]), allow_private=True)
    assert call("http://far.example/", through=through).text == "by proxy"
    for host in ("near.example", "deep.near.example"):
        assert call(f"http://{host}:{server.port}/", through=through).text == "directly"


# -- Recorded calls -----------------------------------------------------------------------------------------------------


def test_a_recorder_sees_the_call_as_it_was_made_and_a_replay_needs_neither_name_nor_network(
    server: RudeServer, tmp_path: Path
) -> None:
    server.on("/x", answer(200, b"recorded"))
    url, cassette = by_name(server, "shop.example", "/x"), tmp_path / "cassette.yaml"
    found, unknown = Names(["127.0.0.1"]), Names([])
    with vcr.use_cassette(str(cassette), record_mode="once"):
        assert call(url, through=HttpConnection(resolver=found, allow_private=True)).text == "recorded"
    with vcr.use_cassette(str(cassette), record_mode="none"):
        assert call(url, through=HttpConnection(resolver=unknown)).text == "recorded"
    assert f"uri: {url}" in cassette.read_text()
    assert (len(server.received), unknown.asked) == (1, [])


def test_a_proxy_gets_its_own_credentials_and_the_server_never_does(
    server: RudeServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.on("http://far.example/", answer(200, b"by proxy"))
    server.on("/", answer(200, b"directly"))
    proxy = Secret(f"http://ann:pr0xy-s3cret@127.0.0.1:{server.port}")
    through = HttpConnection(proxy=proxy, resolver=Names([PUBLIC]), allow_private=True)
    assert call("http://far.example/", through=through).text == "by proxy"
    assert call(f"http://127.0.0.1:{server.port}/", through=through).text == "directly"
    asked, direct = server.received
    assert asked.headers["proxy-authorization"].startswith("Basic ")
    assert "proxy-authorization" not in direct.headers
    assert asked.headers["proxy-authorization"].removeprefix("Basic ") not in caplog.text
    assert "pr0xy-s3cret" not in caplog.text
