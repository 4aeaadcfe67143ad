"""Lists that come in pages: one activity fetches a page and says which is next, one orchestration goes on until there is none.

Must never go on without a bound: a server that always has one page more would fill the history.
"""

import re
from typing import Any
from urllib.parse import urljoin

import msgspec

from connectors.core import DEFAULT_RETRY, Effect, declare, resolve
from connectors.core.urls import origin
from connectors.http.activities import request
from connectors.http.checks import at
from connectors.http.credentials import HttpConnection
from connectors.http.errors import UnexpectedAnswer
from connectors.http.models import HttpRequest, HttpResponse
from dtf_runtime import OrchestrationContext, activity, orchestration

_LINK = re.compile(r"<([^<>]*)>((?:\s*;\s*[\w*!#$&+.^`|~-]+\s*(?:=\s*(?:\"[^\"]*\"|[^\s\";,]+))?)*)")  # RFC 8288
_REL = re.compile(r";\s*rel\s*=\s*(?:\"([^\"]*)\"|([^\s\";,]+))", re.IGNORECASE)


class ByLink(msgspec.Struct, frozen=True, kw_only=True, tag="link"):
    """The next page's address is in the Link header (RFC 8288)."""

    rel: str = "next"


class ByUrl(msgspec.Struct, frozen=True, kw_only=True, tag="url"):
    """The next page's address is in the answer's JSON; missing, null or empty on the last page."""

    pointer: str
    """A JSON pointer: `/next`, `/@odata.nextLink`."""


class ByCursor(msgspec.Struct, frozen=True, kw_only=True, tag="cursor"):
    """The answer's JSON has a cursor, which the next request sends back as a parameter; missing, null or empty on the last page."""

    pointer: str
    param: str = "cursor"


class ByOffset(msgspec.Struct, frozen=True, kw_only=True, tag="offset"):
    """Items are counted here. The end is an empty page, or the total that the answer tells: a server may give fewer than it is asked for."""

    size: int = 100
    total: str = ""
    """A JSON pointer to the number of all items, which saves asking for the empty page."""
    param: str = "offset"
    size_param: str = "limit"


By = ByLink | ByUrl | ByCursor | ByOffset


class FetchPage(msgspec.Struct, frozen=True, kw_only=True):
    request: HttpRequest
    by: By = msgspec.field(default_factory=ByLink)
    items: str = ""
    """A JSON pointer to the list in the answer; empty: the answer is the list."""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    items: list[Any]
    next: HttpRequest | None
    """What fetches the next page; None: this was the last."""


class Paginate(msgspec.Struct, frozen=True, kw_only=True):
    request: HttpRequest
    """The first page. Its `max_bytes` is the most that a page may have; all pages are in the history."""
    by: By = msgspec.field(default_factory=ByLink)
    items: str = ""
    max_pages: int = 100


class Pages(msgspec.Struct, frozen=True, kw_only=True):
    items: list[Any]
    pages: int
    next: HttpRequest | None
    """Not None: there was more than `max_pages`, and this goes on with it."""


@declare(Effect.READ)
@activity(name="http.fetch_page", retry=DEFAULT_RETRY)
async def fetch_page(call: FetchPage) -> Page:
    """One page of a list, and the request for the next one.

    Raises what `http.request` does, and UnexpectedAnswer when the answer is not JSON or has no list at `items`.
    """
    by = call.by
    first = call.request
    if isinstance(by, ByOffset):
        first = with_params(first, {by.size_param: by.size, by.param: _offset(first, by)})
    answer = await request(first)
    items = _items(answer, call)
    following = _next(answer, items, first, by)
    if following is not None:
        connection = resolve(HttpConnection, first.connection)
        following = msgspec.structs.replace(following, url=connection.without_key(following.url))
    return Page(items=items, next=following)


@orchestration(name="http.paginate")
async def paginate(ctx: OrchestrationContext, call: Paginate) -> Pages:
    """All items of a list, a page an activity, at most `max_pages`. Raises UnexpectedAnswer when a page leads back to an earlier one."""
    items: list[Any] = []
    seen: set[bytes] = set()
    following: HttpRequest | None = call.request
    pages = 0
    while following is not None and pages < call.max_pages:
        seen.add(_identity(following))
        page = await fetch_page(FetchPage(request=following, by=call.by, items=call.items))
        items += page.items
        pages += 1
        following = page.next
        if following is not None and _identity(following) in seen:
            raise UnexpectedAnswer(f"page {pages} of {_shown(call.request)} leads back to an earlier page")
    return Pages(items=items, pages=pages, next=following)


def with_params(call: HttpRequest, params: dict[str, str | int]) -> HttpRequest:
    return msgspec.structs.replace(call, params={**call.params, **params})


def _identity(call: HttpRequest) -> bytes:
    return msgspec.json.encode((call.url, call.params), order="deterministic")


def _shown(call: HttpRequest) -> str:
    return call.url.partition("?")[0].rpartition("@")[2]


def _offset(call: HttpRequest, by: ByOffset) -> int:
    given = call.params.get(by.param, 0)
    return int(given) if isinstance(given, str | int) else 0


def _items(answer: HttpResponse, call: FetchPage) -> list[Any]:
    found = at(_document(answer, call.request), call.items, None)
    if not isinstance(found, list):
        raise UnexpectedAnswer(f"GET {_shown(call.request)}: there is no list at {call.items!r}", status=answer.status)
    return found


def _document(answer: HttpResponse, call: HttpRequest) -> Any:
    try:
        return answer.json()
    except msgspec.DecodeError:
        raise UnexpectedAnswer(f"GET {_shown(call)}: the page is not JSON", status=answer.status) from None


def _next(answer: HttpResponse, items: list[Any], asked: HttpRequest, by: By) -> HttpRequest | None:
    if isinstance(by, ByOffset):
        reached = _offset(asked, by) + len(items)
        total = at(_document(answer, asked), by.total, None) if by.total else None
        over = not items or (isinstance(total, int) and reached >= total)
        return None if over else with_params(asked, {by.param: reached})
    if isinstance(by, ByCursor):
        cursor = at(_document(answer, asked), by.pointer, None)
        return with_params(asked, {by.param: str(cursor)}) if cursor not in (None, "") else None
    url = linked(answer.headers.get("link", ""), by.rel) if isinstance(by, ByLink) else _pointed(answer, asked, by)
    if not isinstance(url, str) or not url:
        return None
    address = urljoin(answer.url, url)
    own = origin(address) == origin(answer.url)  # headers meant for one server are not for another
    return msgspec.structs.replace(asked, url=address, params={}, headers=asked.headers if own else {})


def _pointed(answer: HttpResponse, asked: HttpRequest, by: ByUrl) -> Any:
    return at(_document(answer, asked), by.pointer, None)


def linked(header: str, rel: str) -> str | None:
    """The target of the first link with that relation."""
    for match in _LINK.finditer(header):
        found = _REL.search(match[2])
        if found and rel.lower() in (found[1] or found[2] or "").lower().split():
            return match[1].strip()
    return None
