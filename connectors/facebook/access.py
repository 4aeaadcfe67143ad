"""Tokens of the page: a short-lived one exchanged for one that lives 60 days, and what a token is good for.

No token enters an input or a result: the connection has it, and the exchanged one goes into the connection's folder.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.core import DEFAULT_RETRY, Effect, Permanent, Secret, declare, resolve
from connectors.facebook.client import app_token, call, page_token
from connectors.facebook.credentials import FacebookConnection
from connectors.facebook.models import TokenFacts, TokenOf
from connectors.facebook.tokens import require_folder, store_token
from dtf_runtime import activity


@declare(Effect.AT_LEAST_ONCE, "each exchange gives a token that works, and the one before goes on working")
@activity(name="facebook.exchange_token", retry=DEFAULT_RETRY)
async def exchange_token(token: TokenOf) -> TokenFacts:
    """Exchanges the connection's token for a long-lived one and keeps that in the connection's folder `tokens`.

    Do it once a month from an eternal orchestration, and the page is never signed out. Raises ConnectionMissing without folder, app_id or app_secret.
    """
    connection = resolve(FacebookConnection, token.connection)
    app = app_token(connection)
    require_folder(connection)
    assert connection.app_secret is not None  # of app_token
    old = await page_token(connection)
    answer = await call(
        connection,
        "GET",
        "/oauth/access_token",
        query={"grant_type": "fb_exchange_token", "client_id": connection.app_id},
        secret_query={"client_secret": connection.app_secret, "fb_exchange_token": old},
        token=app,
        repeatable=True,
    )
    if not isinstance(answer.get("access_token"), str):
        raise Permanent("Graph: the exchange gave no token", code="garbage")
    new = Secret(answer["access_token"])
    seconds = answer.get("expires_in")
    ends = datetime.now(UTC) + timedelta(seconds=float(seconds)) if isinstance(seconds, int) else None
    await asyncio.to_thread(store_token, connection, new, ends)
    return await _facts(connection, new)


@declare(Effect.READ)
@activity(name="facebook.debug_token", retry=DEFAULT_RETRY)
async def debug_token(token: TokenOf) -> TokenFacts:
    """What the connection's token is good for, and until when. Raises ConnectionMissing without app_id and app_secret."""
    connection = resolve(FacebookConnection, token.connection)
    return await _facts(connection, await page_token(connection))


async def _facts(connection: FacebookConnection, token: Secret) -> TokenFacts:
    answer = await call(
        connection,
        "GET",
        "/debug_token",
        secret_query={"input_token": token},
        token=app_token(connection),
        repeatable=True,
    )
    told = answer.get("data") or {}
    return TokenFacts(
        valid=bool(told.get("is_valid")),
        expires_at=_ends(told.get("expires_at")),
        data_access_expires_at=_ends(told.get("data_access_expires_at")),
        scopes=tuple(told.get("scopes") or ()),
        type=str(told.get("type") or ""),
        app_id=str(told.get("app_id") or ""),
        profile_id=str(told.get("profile_id") or ""),
    )


def _ends(seconds: Any) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if isinstance(seconds, int) and seconds > 0 else None
