"""OAuth 2 user tokens of X: they live two hours, and each renewal gives a new refresh token and voids the old one.

So they are kept in the kit's token store, renewed under its lock, and shared by every worker that has the folder. Blocks: for worker threads.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from connectors.core import AuthenticationFailed, ConnectionMissing, Secret, Transient
from connectors.core.token_stores import FileTokenStore
from connectors.core.tokens import Tokens, refreshed
from connectors.twitter.credentials import TwitterConnection
from connectors.twitter.errors import error_of
from dtf_runtime.plugins import require

PATH = "/2/oauth2/token"
SCOPES = "tweet.read tweet.write users.read media.write offline.access"
"""What to ask for when signing in; without offline.access there is no refresh token."""


def keep_tokens(connection: TwitterConnection, access: Secret, refresh: Secret, expires_in: float) -> None:
    """Stores what signing in gave (PKCE, in X's developer console or your own page), once. `expires_in` in seconds."""
    ends = datetime.now(UTC) + timedelta(seconds=expires_in)
    store = _store(connection)
    with store.lock(_name(connection)):
        store.save(_name(connection), Tokens(access=access, refresh=refresh, expires_at=ends))


def access_token(connection: TwitterConnection, *, refused: Secret | None = None) -> Secret:
    """One that is good for a minute at least. `refused`: X would not take this one. Raises ConnectionMissing, AuthenticationFailed, Transient."""
    if connection.tokens is None:
        if connection.oauth2_token is None:
            raise ConnectionMissing(f"twitter connection {connection.name!r} has no OAuth 2 token")
        return connection.oauth2_token
    tokens = refreshed(
        _store(connection),
        _name(connection),
        lambda old: _renew(connection, old),
        lambda: datetime.now(UTC),
        force=refused,
    )
    return tokens.access


def _renew(connection: TwitterConnection, old: Tokens) -> Tokens:
    requests = require("requests", "twitter")
    assert old.refresh is not None  # of `refreshed`
    form = {"grant_type": "refresh_token", "refresh_token": old.refresh.reveal(), "client_id": connection.client_id}
    secret = connection.client_secret
    try:
        with requests.Session() as session:
            session.trust_env = not connection.base_url
            if connection.proxy is not None:
                session.proxies = {"https": connection.proxy.reveal(), "http": connection.proxy.reveal()}
            answer = session.post(
                connection.host + PATH,
                data=form,
                auth=(connection.client_id, secret.reveal()) if secret else None,
                timeout=(connection.connect_timeout, connection.read_timeout),
                allow_redirects=False,
            )
    except requests.RequestException as error:  # its text may hold what was sent
        raise Transient(f"X: the token could not be renewed ({type(error).__name__})", code="renewal") from None
    if answer.status_code in (400, 401):
        raise AuthenticationFailed(
            "X would not renew the token: somebody must sign in again", code="renewal", status=answer.status_code
        )
    if answer.status_code != 200:
        raise error_of(answer.status_code, answer.headers, answer.content, what="X renewal of a token", repeatable=True)
    return _tokens(answer.content)


def _tokens(content: bytes) -> Tokens:
    try:
        told: dict[str, Any] = msgspec.json.decode(content, type=dict[str, Any])
        ends = datetime.now(UTC) + timedelta(seconds=float(told["expires_in"]))
        refresh = Secret(told["refresh_token"]) if told.get("refresh_token") else None
        return Tokens(
            access=Secret(told["access_token"]), refresh=refresh, expires_at=ends, scope=str(told.get("scope", ""))
        )
    except (msgspec.MsgspecError, RecursionError, KeyError, TypeError, ValueError):
        raise Transient("X: the answer to a renewal can't be read", code="garbage") from None


def _store(connection: TwitterConnection) -> FileTokenStore:
    if connection.tokens is None:
        raise ConnectionMissing(f"twitter connection {connection.name!r} has no folder `tokens`")
    return FileTokenStore(connection.tokens)


def _name(connection: TwitterConnection) -> str:
    return f"twitter-{connection.name}"
