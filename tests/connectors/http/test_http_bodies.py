"""What is sent beyond plain bytes, and what an answer is checked for."""

from email import message_from_bytes
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from connectors.core import InvalidRequest
from connectors.http import Check, Part, UnexpectedAnswer
from dtf_runtime import NonRetriableError
from tests.connectors.http.calls import call, failure
from tests.connectors.http.rude_server import RudeServer, answer


def test_a_form_is_sent_as_browsers_send_it(server: RudeServer) -> None:
    call(server.on("/", answer(200)), "POST", form={"name": "Ann & Bob", "tag": ["a", "b"], "n": 3})
    got = server.received[0]
    assert got.headers["content-type"] == "application/x-www-form-urlencoded"
    assert parse_qs(got.body.decode()) == {"name": ["Ann & Bob"], "tag": ["a", "b"], "n": ["3"]}


def test_a_multipart_body_can_be_read_and_is_the_same_at_every_attempt(server: RudeServer, tmp_path: Path) -> None:
    file = tmp_path / 'odd"name.bin'
    file.write_bytes(bytes(range(256)))
    parts = (
        Part(name="note", text="grüß"),
        Part(name="file", path=str(file)),
        Part(name="data", data=b"<x/>", filename="x.xml", content_type="text/xml"),
    )
    for _ in range(2):
        call(server.on("/", answer(200)), "POST", parts=parts)
    first, second = server.received
    assert first.body == second.body
    message = message_from_bytes(b"Content-Type: " + first.headers["content-type"].encode() + b"\r\n\r\n" + first.body)
    _whole, note, binary, xml = message.walk()
    assert note.get_payload(decode=True) == "grüß".encode()
    assert binary.get_payload(decode=True) == bytes(range(256))
    assert b'filename="odd%22name.bin"' in first.body
    assert (xml.get_content_type(), xml.get_filename()) == ("text/xml", "x.xml")


@pytest.mark.parametrize(
    "part",
    [
        Part(name="none"),
        Part(name="two", text="a", data=b"b"),
        Part(name="gone", path="/nowhere/at/all"),
        Part(name="evil", text="a", content_type="text/plain\r\nX: y"),
    ],
)
def test_a_part_that_cannot_be_sent_is_refused_before_anything_is(server: RudeServer, part: Part) -> None:
    assert type(failure(server.on("/", answer(200)), "POST", parts=(part,))) is InvalidRequest
    assert server.connections == 0


def test_a_parts_name_cannot_add_a_header(server: RudeServer) -> None:
    call(server.on("/", answer(200)), "POST", parts=(Part(name='a"\r\nX-Evil: 1', text="v"),))
    assert b"\r\nX-Evil" not in server.received[0].body


GOOD = answer(200, b'{"order": {"status": "paid", "lines": [1, 2]}}', "Content-Type: application/json; charset=utf-8")


@pytest.mark.parametrize(
    "check",
    [
        Check(content_type="application/json"),
        Check(headers={"content-length": "46"}),
        Check(contains='"paid"'),
        Check(json={"/order/status": "paid", "/order/lines/1": 2}),
    ],
)
def test_an_answer_that_is_as_expected_is_one(server: RudeServer, check: Check) -> None:
    assert call(server.on("/", GOOD), check=check).status == 200


@pytest.mark.parametrize(
    "check",
    [
        Check(content_type="text/html"),
        Check(headers={"X-Version": "2"}),
        Check(contains="s3cret"),
        Check(json={"/order/status": "s3cret"}),
        Check(json={"/order/missing": None}),
        Check(json={"/order/lines/2": 3}),
    ],
)
def test_an_answer_that_is_not_as_expected_is_an_error_for_good_that_did_happen(
    server: RudeServer, check: Check
) -> None:
    error = failure(server.on("/", GOOD), "POST", check=check)
    assert type(error) is UnexpectedAnswer
    assert isinstance(error, NonRetriableError)
    assert error.may_have_happened
    assert "s3cret" not in str(error)


def test_an_answer_that_should_be_json_and_is_not_is_an_error(server: RudeServer) -> None:
    assert type(failure(server.on("/", answer(200, b"<html>")), check=Check(json={"/a": 1}))) is UnexpectedAnswer


def test_deleting_what_is_not_there_is_success(server: RudeServer) -> None:
    url = server.on("/gone", answer(404), answer(410), answer(404))
    assert [call(url, "DELETE").status, call(url, "DELETE").status] == [404, 410]
    assert failure(url, "DELETE", expected=(204,)).status == 404


def test_an_answer_says_the_servers_id_of_the_request_and_whether_it_was_a_replay(server: RudeServer) -> None:
    first: Any = call(server.on("/", answer(201, b"", "X-Request-Id: r-7", "Idempotent-Replayed: true")), "POST")
    assert (first.request_id, first.replayed) == ("r-7", True)
