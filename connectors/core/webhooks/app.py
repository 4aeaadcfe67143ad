"""One ASGI app for all webhooks and links of a program: it verifies, writes down, raises the event, and answers. In this order.

Plain ASGI: any server runs it, `serve` with uvicorn. Must never look into a request that was not verified, log anything that a request says, or
answer yes before the event is durable.

How an event is raised exactly once: the delivery is on disk (`inbox.py`) before anything is raised, under an id made of the route and the
sender's own id; the event carries that id as its message id, which its instance recognises. So it does not matter where a kill strikes: before the
inbox the sender has no answer and sends again, after it the next start raises what is not marked, and a repeat changes nothing.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from hashlib import blake2b
from inspect import isawaitable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import parse_qsl

import msgspec

from connectors.core.errors import InvalidRequest
from connectors.core.webhooks import pages
from connectors.core.webhooks.inbox import Delivery, Inbox, Known
from connectors.core.webhooks.links import LINK_PATH, Link, LinkRefused, Links, Received
from connectors.core.webhooks.models import Incoming, RaiseEvent, Reply, Webhook, WebhookRefused
from connectors.core.webhooks.reading import Gone, Receive, Scope, Send, Unreadable, headers_of, read_body
from dtf_runtime import InstanceNotFoundError, InvalidArgumentError, OrchestrationService, TaskHubClient
from dtf_runtime.clock import REAL_CLOCK, Clock

_T = TypeVar("_T")
_LINK_METHODS = frozenset({"GET", "HEAD", "POST"})
_LINK_BYTES = 256 * 1024
_AGAIN = 30.0  # seconds between looks for deliveries that could not be raised
_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
_MISSING = Reply(status=404)
_UNAVAILABLE = Reply(status=503, headers=(("retry-after", "5"),))
_logger = logging.getLogger("connectors.core.webhooks")


class WebhookApp:
    """An ASGI app. `hub`: a service, its address, or a client that is entered already.

    It lives from the server's lifespan events, or `async with app` where it is mounted in another app. `inbox` is a file of its own.
    `read_timeout` and `idle_timeout`: seconds for a body, and without a byte of it. `keep`: how long deliveries are remembered.
    Raises InvalidRequest for two webhooks of one path.
    """

    def __init__(
        self,
        hub: OrchestrationService | TaskHubClient | str,
        webhooks: Iterable[Webhook] = (),
        *,
        links: Links | None = None,
        base_url: str = "",
        inbox: Path | str = "webhooks.db",
        clock: Clock = REAL_CLOCK,
        read_timeout: float = 15.0,
        idle_timeout: float = 5.0,
        max_in_flight: int = 1_000,
        keep: timedelta = timedelta(days=7),
    ) -> None:
        self._client = hub if isinstance(hub, TaskHubClient) else TaskHubClient(hub)
        self._owns_client = not isinstance(hub, TaskHubClient)
        self._links = links
        self._base_url = (base_url or (links.base_url if links else "")).rstrip("/")
        self._path = inbox
        self._clock = clock
        self._read_timeout, self._idle_timeout = read_timeout, idle_timeout
        self._most, self._in_flight = max_in_flight, 0
        self._keep = keep
        self._webhooks: dict[str, Webhook] = {}
        self._inbox: Inbox | None = None
        self.add(*webhooks)

    def add(self, *webhooks: Webhook) -> Self:
        """More routes, a connector's say."""
        for webhook in webhooks:
            if not webhook.path.startswith("/") or webhook.path.startswith(LINK_PATH):
                raise InvalidRequest(f"a webhook's path begins with / and not with {LINK_PATH}: {webhook.path!r}")
            if webhook.path in self._webhooks:
                raise InvalidRequest(f"there are two webhooks at {webhook.path!r}")
            self._webhooks[webhook.path] = webhook
        return self

    # -- life
    async def __aenter__(self) -> Self:
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="dtf-webhooks-inbox")
        try:
            opened = await self._on_disk(lambda: Inbox(self._path))
            if self._owns_client:
                await self._client.__aenter__()
        except BaseException:
            self._disk.shutdown(wait=False)
            raise
        self._inbox = opened
        self._drainer = asyncio.create_task(self._drain_again_and_again())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        inbox, self._inbox = self._inbox, None
        self._drainer.cancel()
        await asyncio.wait([self._drainer])
        if self._owns_client:
            await self._client.__aexit__(kind, error, trace)
        if inbox is not None:
            await self._on_disk(inbox.close)
        self._disk.shutdown(wait=False)

    async def _on_disk(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._disk, work)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1000})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.__aenter__()
        except Exception as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.__aexit__(None, None, None)
        await send({"type": "lifespan.shutdown.complete"})

    # -- one request
    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._in_flight += 1
        try:
            reply = await self._reply(scope, receive)
        except Gone:
            return
        except Unreadable as error:  # the rest of the body is still to come, and nobody will read it
            close = (("connection", "close"),) if scope.get("http_version", "").startswith("1") else ()
            reply = Reply(status=error.status, headers=close)
        except Exception as error:
            _logger.error("a webhook failed: %s", _where(error))
            reply = Reply(status=500)
        finally:
            self._in_flight -= 1
        headers = [(b"content-type", reply.content_type.encode()), (b"content-length", b"%d" % len(reply.body))]
        headers += [*_HEADERS, *((name.encode(), value.encode()) for name, value in reply.headers)]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else reply.body})

    async def _reply(self, scope: Scope, receive: Receive) -> Reply:
        if self._inbox is None or self._in_flight > self._most:
            return _UNAVAILABLE
        path = _path_of(scope)
        if self._links is not None and path.startswith(LINK_PATH):
            if scope["method"] not in _LINK_METHODS:
                return _not_allowed(_LINK_METHODS)
            request = await self._read(scope, receive, path, _LINK_BYTES)
            return await self._follow(self._links, request)
        webhook = self._webhooks.get(path)
        if webhook is None:
            return _MISSING
        if scope["method"] not in webhook.methods:
            return _not_allowed(webhook.methods)
        return await self._hear(webhook, await self._read(scope, receive, path, webhook.max_bytes))

    async def _read(self, scope: Scope, receive: Receive, path: str, most: int) -> Incoming:
        headers = headers_of(scope["headers"])
        body = await read_body(receive, headers, most=most, total=self._read_timeout, idle=self._idle_timeout)
        query = scope.get("query_string", b"").decode("latin-1")
        raw = scope.get("raw_path", b"").decode("latin-1") or path
        try:
            pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=1_000)
        except ValueError:
            raise Unreadable(400) from None
        return Incoming(
            method=scope["method"],
            url=f"{self._base_url}{raw}{'?' if query else ''}{query}",
            path=path,
            query=tuple(pairs),
            headers=headers,
            body=body,
            received_at=self._clock.now(),
        )

    async def _hear(self, webhook: Webhook, request: Incoming) -> Reply:
        try:
            if webhook.verify is not None and (verifying := webhook.verify(request)) is not None:
                await verifying
        except WebhookRefused as error:
            _logger.warning("%s %s was refused (%s)", request.method, webhook.path, error.status)
            return Reply(status=error.status or 401)
        try:
            outcome = webhook.to_event(request)
            outcome = await outcome if isawaitable(outcome) else outcome
        except (ValueError, msgspec.MsgspecError) as error:
            _logger.warning("%s %s can't be read: %s", request.method, webhook.path, _where(error))
            return Reply(status=400)
        if outcome is None:
            return Reply(status=204)
        if isinstance(outcome, Reply):
            return outcome
        digest = _digest(request.method, repr(request.query), request.body)
        known, failed = await self._accept(webhook.path, outcome, digest)
        if known == "other":
            _logger.warning("%s: one delivery id came with two contents; the first counts", webhook.path)
        return failed or outcome.reply

    # -- links
    async def _follow(self, links: Links, request: Incoming) -> Reply:
        try:
            link = links.read(request.path.removeprefix(LINK_PATH))
        except LinkRefused as error:
            return pages.page(str(error).capitalize(), status=error.status or 403)
        if request.method != "POST":
            return await self._ask(link)
        payload = (
            link.payload
            if link.has_payload
            else Received(content_type=request.header("content-type"), body=request.body)
        )
        event = RaiseEvent(instance_id=link.instance_id, name=link.event, payload=payload, delivery_id=link.once)
        digest = _digest(link.event, link.instance_id, msgspec.json.encode(payload))
        known, failed = await self._accept(LINK_PATH + link.instance_id, event, digest)
        if known == "other":
            return pages.page("This link has been used already", status=410)
        return failed or pages.page("Thank you, that is noted")

    async def _ask(self, link: Link) -> Reply:
        assert self._inbox is not None
        delivery_id = _delivery_id(LINK_PATH + link.instance_id, link.once)
        inbox = self._inbox
        if await self._on_disk(lambda: inbox.knows(delivery_id)):
            return pages.page("This link has been used already", status=410)
        return pages.question(link.question)

    # -- exactly once
    async def _accept(self, route: str, event: RaiseEvent, digest: str) -> tuple[Known, Reply | None]:
        """What was known of it, and the reply when it could not be raised."""
        inbox = self._inbox
        assert inbox is not None
        now = self._clock.now().timestamp()
        delivery = Delivery(
            _delivery_id(route, event.delivery_id or digest),
            digest,
            event.instance_id,
            event.name,
            msgspec.json.encode(event.payload),
        )
        known = await self._on_disk(lambda: inbox.accept(delivery, now))
        if known in ("raised", "other"):
            return known, None
        try:
            found = await self._raise(inbox, delivery)
        except Exception as error:
            _logger.error("a delivery to %s waits, since the hub can't be reached: %s", route, _where(error))
            return known, _UNAVAILABLE
        return known, None if found else _MISSING

    async def _raise(self, inbox: Inbox, delivery: Delivery) -> bool:
        """False when there is no such instance: nothing was raised, and nothing is remembered."""
        payload = msgspec.json.decode(delivery.payload)
        try:
            await self._client.raise_event_once(delivery.instance_id, delivery.event, payload, delivery_id=delivery.id)
        except (InstanceNotFoundError, InvalidArgumentError):
            await self._on_disk(lambda: inbox.forget(delivery.id))
            return False
        await self._on_disk(lambda: inbox.raised(delivery.id))
        return True

    async def _drain_again_and_again(self) -> None:
        while True:
            await self._drain()
            await asyncio.sleep(_AGAIN)

    async def _drain(self) -> None:
        """What a kill, or a hub that could not be reached, left unmarked."""
        inbox = self._inbox
        assert inbox is not None
        try:
            for delivery in await self._on_disk(inbox.waiting):
                try:
                    if not await self._raise(inbox, delivery):
                        _logger.warning("a delivery was dropped: its instance is not there any more")
                except Exception as error:
                    _logger.error("a delivery waits, since it can't be raised: %s", _where(error))
            before = (self._clock.now() - self._keep).timestamp()
            await self._on_disk(lambda: inbox.prune(before))
        except Exception as error:
            _logger.error("the inbox of webhooks can't be read: %s", _where(error))


def _path_of(scope: Scope) -> str:
    path, root = str(scope["path"]), str(scope.get("root_path", "")).rstrip("/")
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


def _not_allowed(methods: Iterable[str]) -> Reply:
    return Reply(status=405, headers=(("allow", ", ".join(sorted(methods))),))


def _delivery_id(route: str, sent_id: str) -> str:
    return blake2b(f"{route}\0{sent_id}".encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _digest(*parts: str | bytes) -> str:
    digest = blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        digest.update(b"%d:" % len(data) + data)
    return digest.hexdigest()


def _where(error: BaseException) -> str:
    """Its kind and the line that raised it: the text may hold what was sent."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace is not None else ""
    return f"{type(error).__name__}{where}"
