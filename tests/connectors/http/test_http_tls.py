"""TLS: whom a request trusts, that a pinned address changes nothing about that, and who gets to see the client's certificate."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.core import Permanent, Transient
from connectors.http import HttpConnection
from tests.connectors.http.calls import LOCAL, call, failure
from tests.connectors.http.certificates import Authority
from tests.connectors.http.rude_server import RudeServer, answer


async def here(host: str, port: int) -> Sequence[str]:
    return ["127.0.0.1"]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def trusting(authority: Authority) -> HttpConnection:
    return HttpConnection(ca_file=authority.file, allow_private=True, resolver=here)


def test_a_trusted_certificate_of_the_right_name_is_fine_at_a_pinned_address(
    authority: Authority, trusting: HttpConnection
) -> None:
    with RudeServer(authority.server("shop.example")) as server:
        server.on("/", answer(200, b"hi"))
        got = call(f"https://shop.example:{server.port}/", through=trusting)
        assert got.text == "hi"
        assert server.received[0].headers["host"] == f"shop.example:{server.port}"


@pytest.mark.parametrize("wrong", ["another name", "expired", "another authority"])
def test_a_certificate_that_is_not_trusted_is_refused_for_good(
    authority: Authority, trusting: HttpConnection, tmp_path: Path, wrong: str
) -> None:
    tls = {
        "another name": authority.server("bank.example"),
        "expired": authority.server("shop.example", days=-1),
        "another authority": Authority(tmp_path, "Foreign authority").server("shop.example"),
    }[wrong]
    with RudeServer(tls) as server:
        server.on("/", answer(200))
        error = failure(f"https://shop.example:{server.port}/", "POST", through=trusting)
        assert (type(error), error.code) == (Permanent, "certificate")
        assert not server.received


def test_by_default_only_the_usual_authorities_are_trusted(authority: Authority) -> None:
    with RudeServer(authority.server("127.0.0.1")) as server:
        url = server.on("/", answer(200, b"hi"))
        assert failure(url).code == "certificate"
        assert call(url, through=replace(LOCAL, ca_file=authority.file)).text == "hi"
        assert call(url, through=replace(LOCAL, verify=False)).text == "hi"


def test_a_server_that_speaks_no_tls_is_a_failure_to_connect(server: RudeServer) -> None:
    url = server.on("/", answer(200)).replace("http:", "https:")
    assert isinstance(failure(url, "POST", timeout=0.5), Transient)


def test_a_client_shows_its_certificate_to_its_own_server_and_not_to_where_that_redirects_to(
    authority: Authority, trusting: HttpConnection
) -> None:
    with (
        RudeServer(authority.server("shop.example", clients=True)) as own,
        RudeServer(authority.server("other.example", clients=True)) as other,
    ):
        other.on("/", answer(200, b"elsewhere"))
        own.on("/", answer(307, b"", f"Location: https://other.example:{other.port}/"))
        through = replace(
            trusting, base_url=f"https://shop.example:{own.port}", client_cert=authority.issue("the-worker")
        )
        assert call("/", through=through).text == "elsewhere"
        assert call(f"https://other.example:{other.port}/", through=through).text == "elsewhere"
    assert [bool(shown) for shown in own.certificates] == [True]
    assert not any(other.certificates)
