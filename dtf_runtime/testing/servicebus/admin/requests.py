"""Requests about queues: create, get, update, delete, list. Anything else that the service could do is refused."""

from typing import TYPE_CHECKING
from xml.etree.ElementTree import ParseError

from dtf_runtime.testing.servicebus.access import Right, missing_right
from dtf_runtime.testing.servicebus.admin import atom
from dtf_runtime.testing.servicebus.broker.options import QueueOptions
from dtf_runtime.testing.servicebus.broker.queue import Queue
from dtf_runtime.testing.servicebus.broker.refusals import (
    Refused,
    bad_request,
    entity_exists,
    entity_not_found,
    not_implemented,
)
from dtf_runtime.testing.servicebus.links.host import Host

if TYPE_CHECKING:
    from dtf_runtime.testing.servicebus.admin.http import HttpRequest

Answer = tuple[int, str]  # status, document
_QUEUES = "$resources/queues"
_NAMESPACE = "$namespaceinfo"
_PAGE = 100


def administer(host: Host, request: "HttpRequest") -> Answer:
    _check_access(host, request)
    path = request.path.lower()
    if request.method == "GET" and path == _QUEUES:
        return _list(host, request)
    if request.method == "GET" and path == _NAMESPACE:
        return 200, atom.namespace_document(host.clock.now())
    if path.startswith("$") or "/subscriptions" in path or "/rules" in path:
        raise not_implemented(f"{request.method} {request.path}: the emulator has queues only. This")
    match request.method:
        case "GET":
            return _get(host, request)
        case "PUT":
            return _update(host, request) if "if-match" in request.headers else _create(host, request)
        case "DELETE":
            host.namespace.delete(request.path)
            return 200, ""
    raise not_implemented(f"{request.method} of a queue")


def _check_access(host: Host, request: "HttpRequest") -> None:
    grant = host.access.check(request.headers.get("authorization", ""))
    if not grant.allows(Right.MANAGE, request.path):
        raise missing_right(Right.MANAGE)


def _list(host: Host, request: "HttpRequest") -> Answer:
    skip = int(request.query.get("$skip", ["0"])[0])
    most = int(request.query.get("$top", [str(_PAGE)])[0])
    queues = list(host.namespace)
    end = skip + most
    next_page = f"$skip={end}&$top={most}" if end < len(queues) else None
    page = map(atom.queue_entry, queues[skip:end])
    return 200, atom.feed(page, host.clock.now(), next_page=next_page)


def _get(host: Host, request: "HttpRequest") -> Answer:
    try:
        return 200, atom.queue_entry(_queue(host, request.path))
    except Refused:  # for what is not there, Service Bus has an empty feed, and the client an exception for that
        return 200, atom.feed([], host.clock.now())


def _queue(host: Host, name: str) -> Queue:
    queue = host.namespace.find(name)
    if queue.dead_letters is None:
        raise entity_not_found(name)
    return queue


def _options(request: "HttpRequest") -> dict[str, object]:
    try:
        return atom.read_options(request.body)
    except (ParseError, ValueError) as error:
        raise bad_request(f"The body is no description of a queue: {error}.") from error


def _create(host: Host, request: "HttpRequest") -> Answer:
    if any(queue.name.lower() == request.path.lower() for queue in host.namespace):
        raise entity_exists(request.path)
    options = QueueOptions().with_values(_options(request))
    return 201, atom.queue_entry(host.namespace.create(request.path, options))


def _update(host: Host, request: "HttpRequest") -> Answer:
    queue = _queue(host, request.path)
    queue.change(queue.options.changed(_options(request)))
    return 200, atom.queue_entry(queue)
