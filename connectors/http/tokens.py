"""OAuth2 client credentials (RFC 6749, 4.4): tokens are kept in this process alone, fetched before they expire, one fetch at a time."""

import asyncio
import time
from dataclasses import dataclass
from urllib.parse import quote_plus, urlencode
from weakref import WeakKeyDictionary

import msgspec

from connectors.core import AuthenticationFailed, ConnectorError, Permanent, Secret
from connectors.core.outgoing import Outgoing
from connectors.core.statuses import error_for
from connectors.core.urls import redact
from connectors.http.credentials import HttpConnection, basic
from dtf_runtime.clock import REAL_CLOCK

_EARLY = 60.0  # seconds before its end, or half its life when that is short
_UNTOLD = 300.0  # seconds that a token is kept when nobody says how long it lives
_MOST_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Token:
    secret: Secret
    renew_at: float  # of the monotonic clock


class _Granted(msgspec.Struct):
    access_token: str
    expires_in: float | str | None = None


_tokens: dict[HttpConnection, Token] = {}
_locks: "WeakKeyDictionary[asyncio.AbstractEventLoop, dict[HttpConnection, asyncio.Lock]]" = WeakKeyDictionary()


async def token_of(connection: HttpConnection, timeout: float) -> Token:
    """Raises AuthenticationFailed, or Transient and Throttled: nothing of the call itself has been sent."""
    lock = _locks.setdefault(asyncio.get_running_loop(), {}).setdefault(connection, asyncio.Lock())
    async with lock:
        token = _tokens.get(connection)
        if token is None or time.monotonic() >= token.renew_at:
            token = _tokens[connection] = await _fetch(connection, timeout)
        return token


def forget(connection: HttpConnection, token: Token) -> None:
    """The server doesn't take it any more. One that was fetched since is kept."""
    if _tokens.get(connection) is token:
        del _tokens[connection]


async def _fetch(connection: HttpConnection, timeout: float) -> Token:
    from connectors.core import transport

    assert connection.client_secret is not None
    form = {"grant_type": "client_credentials", "scope": connection.scope, "audience": connection.audience}
    headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
    if connection.client_auth == "basic":
        secret = Secret(quote_plus(connection.client_secret.reveal()))
        headers["authorization"] = basic(quote_plus(connection.client_id), secret)
    else:
        form |= {"client_id": connection.client_id, "client_secret": connection.client_secret.reveal()}
    call = Outgoing(
        method="POST",
        url=connection.token_url,
        headers=headers,
        content=urlencode({name: value for name, value in form.items() if value}).encode(),
        timeout=timeout,
        idle=connection.idle_timeout,
        repeatable=True,  # a token more does no harm
        follow_redirects=False,
    )
    began = time.monotonic()
    async with transport.exchange(connection.route(connection.token_url), call) as answer:
        body = await answer.read(_MOST_BYTES)
        if answer.status in (400, 401, 403):
            raise _refused(connection, answer.status, body)
        if answer.status != 200:
            raise error_for(
                answer.status,
                answer.headers,
                method="POST",
                url=call.address,
                repeatable=True,
                now=REAL_CLOCK.now(),
            )
    try:
        granted = msgspec.json.decode(body, type=_Granted)
        lifetime = float(granted.expires_in or _UNTOLD)
    except (msgspec.DecodeError, ValueError):
        raise Permanent(f"{call.address} gave no token that can be read", code="token") from None
    return Token(Secret(granted.access_token), began + max(lifetime - _EARLY, lifetime / 2))


def _refused(connection: HttpConnection, status: int, body: bytes) -> ConnectorError:
    known = ("invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type")
    said = next((code for code in (*known, "invalid_scope") if f'"{code}"'.encode() in body), "")
    return AuthenticationFailed(
        f"{redact(connection.token_url)} gives http connection {connection.name!r} no token: {status} {said}".rstrip(),
        code=said,
        status=status,
    )
