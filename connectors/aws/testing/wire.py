"""Reads what a client of AWS put on the wire: which service, which operation, with what. One `Request` for every protocol.

It must never need the real service or the network, and it judges nothing. The protocols: `ec2` and `query` (a form, answered in XML), `json`
(`X-Amz-Target`), `rest-xml` and `rest-json` (`rest.py`).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from connectors.aws.testing.permissions import actions_of
from connectors.aws.testing.rest import rest_operation

_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")
_SERVICES = {"email": "ses", "monitoring": "cloudwatch"}
_REST_XML = frozenset({"s3", "route53", "cloudfront"})


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request as it came. `parameters` have the names of the wire: for EC2 `InstanceId`, `Filter`, ...; lists and structures are nested."""

    service: str
    """As in IAM's actions: ec2, ssm, iam, route53, s3, sqs, sns, lambda, dynamodb, secretsmanager, states, events, cloudwatch, ses, sts."""
    region: str
    operation: str
    protocol: str
    """ec2, query, json, rest-xml or rest-json."""
    parameters: dict[str, Any]
    access_key: str = ""
    method: str = "POST"
    path: str = "/"
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""

    @property
    def name(self) -> str:
        return f"{self.service}:{self.operation}"

    @property
    def actions(self) -> tuple[str, ...]:
        """What the caller must be allowed to do."""
        return actions_of(self.service, self.operation, self.parameters, self.headers, self.body)

    def text(self, name: str) -> str:
        """A parameter that is a text, "" when it is missing."""
        value = self.parameters.get(name)
        return value if isinstance(value, str) else ""

    def texts(self, name: str) -> list[str]:
        """A parameter that is a list of texts."""
        value = self.parameters.get(name)
        return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def read_request(method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> Request:
    """Never raises for what is not AWS's: such a request has an operation of `METHOD path`."""
    access_key, region, signed_for = _signature(headers, query)
    service = _SERVICES.get(signed_for, signed_for)
    common: dict[str, Any] = {"region": region, "access_key": access_key, "method": method, "path": path}
    common |= {"body": body, "headers": headers}
    target = headers.get("x-amz-target", "")
    if target:
        found = _json(body)
        operation = target.rpartition(".")[2]
        return Request(service=service, operation=operation, protocol="json", parameters=found, **common)
    form = headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    if form and b"Action=" in body:
        flat = dict(parse_qsl(body.decode(), keep_blank_values=True))
        operation = flat.pop("Action")
        flat.pop("Version", None)
        protocol = "ec2" if service == "ec2" else "query"
        return Request(service=service, operation=operation, protocol=protocol, parameters=nested(flat), **common)
    protocol = "rest-xml" if signed_for in _REST_XML else "rest-json"
    operation, parameters = rest_operation(signed_for, method, path, query, headers)
    if protocol == "rest-json":
        parameters |= _json(body) if body[:1] == b"{" and operation != "Invoke" else {}
    return Request(service=service, operation=operation, protocol=protocol, parameters=parameters, **common)


def nested(flat: Mapping[str, str]) -> dict[str, Any]:
    """`{"Filter.1.Name": "a", "Filter.1.Value.1": "b"}` as `{"Filter": [{"Name": "a", "Value": ["b"]}]}`; `member` and `entry` are passed over."""
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        parts = [part for part in name.split(".") if part not in ("member", "entry")]
        node = tree
        for part in parts[:-1]:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):  # `Name` and `Name.1` together: not AWS's
                break
        else:
            node[parts[-1]] = value
    return {name: _listed(value) for name, value in tree.items()}


def _listed(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if node and all(key.isdigit() for key in node):
        return [_listed(node[key]) for key in sorted(node, key=int)]
    return {key: _listed(value) for key, value in node.items()}


def _signature(headers: Mapping[str, str], query: str) -> tuple[str, str, str]:
    """Access key, region and signing name, from the header or from a presigned URL."""
    found = _CREDENTIAL.search(headers.get("authorization", ""))
    if found is None:
        presigned = dict(parse_qsl(query)).get("X-Amz-Credential", "")
        found = _CREDENTIAL.search(f"Credential={presigned}") if presigned else None
    if found is None:
        return "", "us-east-1", "s3"
    return found.group(1), found.group(2), found.group(3)


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
