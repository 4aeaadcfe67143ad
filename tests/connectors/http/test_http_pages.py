"""Lists in pages, by an orchestration: in order, once each, and with an end even when the server has none."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from connectors.core import BodyTooLarge, NotFound
from connectors.http import (
    ByCursor,
    ByLink,
    ByOffset,
    ByUrl,
    HttpRequest,
    Pages,
    Paginate,
    UnexpectedAnswer,
    fetch_page,
    paginate,
    request,
)
from connectors.http.pages import By, linked
from dtf_runtime import OrchestrationContext, OrchestrationFailedError, Registry, orchestration, run
from tests.connectors.http.rude_server import Answer, RudeServer, answer, raw

registry = Registry(request, fetch_page, paginate)


@orchestration(name="tests.http.all", registry=registry)
async def all_of(ctx: OrchestrationContext, call: Paginate) -> Pages:
    return await paginate(call)


async def fetched(url: str, by: By, *, items: str = "", max_pages: int = 100, **more: Any) -> Pages:
    call = Paginate(request=HttpRequest(url=url, **more), by=by, items=items, max_pages=max_pages)
    return await run(all_of, call, service="memory://", registry=registry)


def by_query(page: Callable[[dict[str, str]], Answer], server: RudeServer) -> Answer:
    """What `page` makes of the query."""

    async def serve(reader: Any, writer: Any) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(server.received[-1].target).query).items()}
        await page(query)(reader, writer)

    return serve


def as_json(value: object, *headers: str) -> Answer:
    return answer(200, json.dumps(value).encode(), *headers)


async def test_links_are_followed_until_there_is_none(server: RudeServer) -> None:
    url = server.on("/list", as_json([1, 2], 'Link: <http://x/first>; rel="first", </two?p=2>; rel="next"'))
    server.on("/two", as_json([3], 'Link: <three>; title="a, b; c" ; REL=next'))
    server.on("/three", as_json([4], "Link: </list>; rel=prev"))
    got = await fetched(url, ByLink(), params={"size": 2}, headers={"X-A": "1"})
    assert got == Pages(items=[1, 2, 3, 4], pages=3, next=None)
    assert [each.target for each in server.received] == ["/list?size=2", "/two?p=2", "/three"]
    assert all(each.headers["x-a"] == "1" for each in server.received)


async def test_an_address_in_the_answer_is_followed_without_ones_own_headers_elsewhere(server: RudeServer) -> None:
    with RudeServer() as other:
        away = other.on("/more", as_json({"value": ["c"], "@odata.nextLink": ""}))
        url = server.on("/list", as_json({"value": ["a", "b"], "@odata.nextLink": away}))
        got = await fetched(url, ByUrl(pointer="/@odata.nextLink"), items="/value", headers={"X-Key": "k"})
    assert got.items == ["a", "b", "c"]
    assert "x-key" not in other.received[0].headers


async def test_a_cursor_is_sent_back_until_there_is_none(server: RudeServer) -> None:
    def page(query: dict[str, str]) -> Answer:
        at = int(query.get("after", 0))
        return as_json({"data": [at], "meta": {"cursor": at + 1 if at < 3 else None}})

    url = server.on("/list", by_query(page, server))
    got = await fetched(url, ByCursor(pointer="/meta/cursor", param="after"), items="/data")
    assert (got.items, got.pages, got.next) == ([0, 1, 2, 3], 4, None)


@pytest.mark.parametrize(("total", "requests"), [("", 4), ("/total", 3)])
async def test_offsets_count_what_came_even_when_the_server_gives_less_than_it_is_asked_for(
    server: RudeServer, total: str, requests: int
) -> None:
    everything = list(range(7))

    def page(query: dict[str, str]) -> Answer:
        start, size = int(query["offset"]), min(int(query["limit"]), 3)
        return as_json({"items": everything[start : start + size], "total": len(everything)})

    url = server.on("/list", by_query(page, server))
    got = await fetched(url, ByOffset(size=5, total=total), items="/items")
    assert got.items == everything
    assert len(server.received) == requests


async def test_pages_without_end_end_at_the_bound_and_say_how_to_go_on(server: RudeServer) -> None:
    def page(query: dict[str, str]) -> Answer:
        at = int(query.get("cursor", 0))
        if at > 50:
            return answer(410)  # so that the test ends when the bound does not hold
        return as_json({"data": [at], "next": at + 1})

    url = server.on("/list", by_query(page, server))
    got = await fetched(url, ByCursor(pointer="/next"), items="/data", max_pages=5)
    assert (got.items, got.pages, len(server.received)) == ([0, 1, 2, 3, 4], 5, 5)
    assert got.next is not None
    assert got.next.params == {"cursor": "5"}


@pytest.mark.parametrize("by", [ByLink(), ByUrl(pointer="/next"), ByCursor(pointer="/next")])
async def test_pages_in_a_circle_are_an_error(server: RudeServer, by: By) -> None:
    url = server.on("/list", as_json({"data": [], "next": "/list"}, "Link: </list>; rel=next"))
    with pytest.raises(OrchestrationFailedError) as caught:
        await fetched(url, by, items="/data")
    assert caught.value.failure.is_caused_by(UnexpectedAnswer)
    assert len(server.received) <= 2


async def test_a_page_that_breaks_off_is_fetched_again_and_the_others_are_not(
    server: RudeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.on("/list", as_json([1], "Link: </two>; rel=next"))
    server.on("/two", answer(503, b"", "Retry-After: 0"), answer(429, b"", "Retry-After: 0"), as_json([2]))
    assert (await fetched(url, ByLink())).items == [1, 2]
    assert [each.target for each in server.received] == ["/list", "/two", "/two", "/two"]


@pytest.mark.parametrize(
    ("page", "kind"),
    [
        (answer(404), NotFound),
        (answer(200, b"<html>"), UnexpectedAnswer),
        (as_json({"data": "no list"}), UnexpectedAnswer),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", close=False), BodyTooLarge),
    ],
)
async def test_what_is_no_page_is_an_error_for_good(server: RudeServer, page: Answer, kind: type[Exception]) -> None:
    url = server.on("/list", page)
    with pytest.raises(OrchestrationFailedError) as caught:
        await fetched(url, ByLink(), items="/data")
    assert caught.value.failure.is_caused_by(kind)
    assert len(server.received) == 1


def test_a_link_header_is_read_whole_and_cannot_hang_the_reader() -> None:
    assert linked('<a>; rel="prev next"; title="x"', "next") == "a"
    assert linked("<a,b>; rel=next", "next") == "a,b"
    assert linked('<a>; title="rel=next"', "next") is None
    assert linked("", "next") is None
    assert linked("<" * 50_000 + ";" * 50_000, "next") is None
    assert linked("<a>" + "; x" * 20_000, "next") is None
