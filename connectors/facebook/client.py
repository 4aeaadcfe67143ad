"""One call of the Graph API over the kit's transport. There is no SDK of Facebook's for Python that is kept up.

The token goes into the Authorization header. What a call asks for goes into a form or the query; errors show neither.
"""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec

from connectors.core import Ambiguous, ConnectionMissing, ConnectorError, Secret, Transient
from connectors.core.outgoing import Outgoing
from connectors.facebook.credentials import VERSION, FacebookConnection
from connectors.facebook.errors import VersionExpired, error_of
from connectors.facebook.tokens import stored_token

_ANSWER = 4 * 1024 * 1024


async def call(
    connection: FacebookConnection,
    method: str,
    path: str,
    *,
    repeatable: bool,
    query: Mapping[str, str] | None = None,
    form: Mapping[str, str] | None = None,
    body: tuple[str, bytes] | None = None,
    token: Secret | None = None,
    secret_query: Mapping[str, Secret] | None = None,
) -> dict[str, Any]:
    """The answer. `path` below the version; `body`: content type and bytes. Raises ConnectorError."""
    from connectors.core.transport import exchange

    token = token or await page_token(connection)
    parameters = dict(query or {})
    if proof := connection.proof(token):
        parameters["appsecret_proof"] = proof
    parameters |= {name: value.reveal() for name, value in (secret_query or {}).items()}
    headers = {"authorization": f"Bearer {token.reveal()}"}
    content: bytes | None = None
    if form is not None:
        headers["content-type"], content = "application/x-www-form-urlencoded", urlencode(form).encode()
    elif body is not None:
        headers["content-type"], content = body
    request = Outgoing(
        method=method,
        url=f"{connection.host}/{VERSION}{path}{'?' if parameters else ''}{urlencode(parameters)}",
        headers=headers,
        content=content,
        timeout=connection.timeout,
        repeatable=repeatable,
        follow_redirects=False,
    )
    async with exchange(connection.route(), request) as answer:
        told = await answer.read(_ANSWER)
    what = f"Graph {method} {path}"
    if not 200 <= answer.status <= 299:
        raise error_of(answer.status, answer.headers, told, what=what, repeatable=repeatable)
    found = _decoded(told, what, repeatable=repeatable)
    served = answer.headers.get("facebook-api-version", VERSION)
    if served != VERSION:
        raise VersionExpired(
            f"{what}: asked for {VERSION} of the Graph API and was answered in {served}, so {VERSION} has expired: install a newer "
            f"release of dtf-runtime; the request did happen",
            code="version",
            status=answer.status,
        )
    return found


async def page_token(connection: FacebookConnection) -> Secret:
    """The exchanged one when there is one, else the connection's. Raises ConnectionMissing."""
    stored = await asyncio.to_thread(stored_token, connection) if connection.tokens else None
    token = stored or connection.page_token
    if token is None:
        raise ConnectionMissing(
            f"facebook connection {connection.name!r} has neither page_token nor a token in its folder"
        )
    return token


def page_of(connection: FacebookConnection) -> str:
    """Raises ConnectionMissing."""
    if not connection.page_id:
        raise ConnectionMissing(f"facebook connection {connection.name!r} has no page_id")
    return connection.page_id


def app_token(connection: FacebookConnection) -> Secret:
    """The app's own, which needs no request. Raises ConnectionMissing."""
    if not (connection.app_id and connection.app_secret):
        raise ConnectionMissing(f"facebook connection {connection.name!r} needs app_id and app_secret for this")
    return Secret(f"{connection.app_id}|{connection.app_secret.reveal()}")


def _decoded(told: bytes, what: str, *, repeatable: bool) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(told)
    except (msgspec.DecodeError, RecursionError):
        found = None
    if isinstance(found, dict):
        return found
    kind: type[ConnectorError] = Transient if repeatable else Ambiguous
    raise kind(f"{what}: the answer can't be read{'' if repeatable else '; it may have happened'}", code="garbage")
