"""Records what goes over the wire, scrubbed, and plays it back without a network. vcrpy, one request at a time: its patching is not thread-safe.

A cassette says what it was recorded against. Must never hold a credential or an id of somebody: what is scrubbed is scrubbed before it is written.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from vcr import VCR
from vcr.cassette import Cassette

_KEPT_HEADERS = {"content-type", "facebook-api-version"}
_NEVER_IN_QUERY = {"appsecret_proof", "access_token", "input_token", "client_secret", "fb_exchange_token"}


class _Noted:
    """JSON with a note at its head."""

    def __init__(self, against: str) -> None:
        self._against = against

    def serialize(self, cassette: dict[str, Any]) -> str:
        return json.dumps({"recorded_against": self._against, **cassette}, indent=1, ensure_ascii=False) + "\n"

    def deserialize(self, text: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(text)
        assert found.pop("recorded_against"), "the cassette doesn't say what it was recorded against"
        return found


@contextmanager
def cassette(
    path: Path, *, host: str, scrub: Mapping[str, str], record: bool = False, against: str = ""
) -> Iterator[Cassette]:
    """`scrub`: text to what is written in its place. `host`: the address that stands for whatever was recorded. Replaying lets nothing through."""

    def scrubbed(text: str) -> str:
        for secret, instead in scrub.items():
            text = text.replace(secret, instead)
        return text

    def of_request(request: Any) -> Any:
        parts = urlsplit(request.uri)
        query = urlencode(
            [(name, scrubbed(value)) for name, value in parse_qsl(parts.query) if name not in _NEVER_IN_QUERY]
        )
        there = urlsplit(host)
        request.uri = urlunsplit((there.scheme, there.netloc, scrubbed(parts.path), query, ""))
        request.headers = {name: value for name, value in request.headers.items() if name.lower() in _KEPT_HEADERS}
        request.body = scrubbed(_text(request.body)).encode() if request.body else None
        return request

    def of_response(response: dict[str, Any]) -> dict[str, Any]:
        response = dict(response)
        response["headers"] = {k: v for k, v in response["headers"].items() if k.lower() in _KEPT_HEADERS}
        body = response["body"]["string"]
        response["body"] = {"string": scrubbed(_text(body)).encode()}
        return response

    recorder = VCR(
        record_mode="all" if record else "none",
        match_on=("method", "uri", "body"),
        before_record_request=of_request,
        before_record_response=of_response,
        serializer="noted",
    )
    recorder.register_serializer("noted", _Noted(against))
    with recorder.use_cassette(str(path)) as running:
        yield running


def _text(body: bytes | str) -> str:
    return body if isinstance(body, str) else body.decode()


def numbers_in(path: Path) -> set[str]:
    """Every run of ten digits or more, which could be somebody's id."""
    return set(re.findall(r"\d{10,}", path.read_text(encoding="utf-8")))
