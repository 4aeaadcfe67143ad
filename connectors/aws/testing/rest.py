"""Which operation a REST request is, by botocore's own models of S3, Route 53, Lambda and SES."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, unquote

_MODELS = {"s3": "s3", "route53": "route53", "lambda": "lambda", "ses": "sesv2", "email": "sesv2"}


@dataclass(frozen=True)
class Route:
    operation: str
    method: str
    path: re.Pattern[str]
    query: tuple[tuple[str, str], ...]
    """What must be in the query: a name and a value, "" for any."""
    headers: tuple[str, ...]

    @property
    def weight(self) -> int:
        """The more a route asks for, the better it fits."""
        return len(self.query) + len(self.headers)


def rest_operation(
    signed_for: str, method: str, path: str, query: str, headers: Mapping[str, str]
) -> tuple[str, dict[str, Any]]:
    """The operation's name and its parameters from path and query. `METHOD path` when no model has it."""
    given = dict(parse_qsl(query, keep_blank_values=True))
    for route in _routes(signed_for):
        found = route.path.fullmatch(path)
        if found is None or method != route.method:
            continue
        if any(name not in given or (value and given[name] != value) for name, value in route.query):
            continue
        if any(name not in headers for name in route.headers):
            continue
        named = {name: unquote(value) for name, value in found.groupdict().items()}
        extra = {name: value for name, value in given.items() if not name.startswith("X-Amz-")}
        return route.operation, named | extra
    return f"{method} {path}", dict(given)


@lru_cache
def _routes(signed_for: str) -> tuple[Route, ...]:
    from botocore.loaders import Loader
    from botocore.model import ServiceModel

    if signed_for not in _MODELS:
        return ()
    model = ServiceModel(Loader().load_service_model(_MODELS[signed_for], "service-2"))
    operations = [model.operation_model(name) for name in model.operation_names]
    routes = [
        _route(operation) for operation in operations if not operation.deprecated
    ]  # they share paths with their heirs
    return tuple(sorted(routes, key=lambda route: -route.weight))


def _route(operation: Any) -> Route:
    path, _, literal = operation.http["requestUri"].partition("?")
    query = [(name, value) for name, value in parse_qsl(literal, keep_blank_values=True)]
    headers = []
    shape = operation.input_shape
    for name in shape.required_members if shape else ():
        where = shape.members[name].serialization
        if where.get("location") == "querystring":
            query.append((where["name"], ""))
        elif where.get("location") == "header":
            headers.append(where["name"].lower())
    return Route(operation.name, operation.http["method"], _pattern(path), tuple(query), tuple(headers))


def _pattern(path: str) -> re.Pattern[str]:
    """`/{Bucket}/{Key+}` as a pattern; a slash at the end counts for nothing."""
    parts = []
    for piece in re.split(r"(\{[^}]+\})", path.rstrip("/")):
        if piece.startswith("{"):
            name = re.sub(r"\W", "", piece)
            parts.append(f"(?P<{name}>.+)" if piece.endswith("+}") else f"(?P<{name}>[^/]+)")
        else:
            parts.append(re.escape(piece))
    return re.compile("".join(parts) + "/?")
