"""Exchanged tokens, kept in the connection's folder. They are in memory and there, and nowhere else: no activity gives one back."""

from datetime import datetime
from pathlib import Path

from connectors.core import ConnectionMissing, Secret
from connectors.core.token_stores import FileTokenStore
from connectors.core.tokens import Tokens
from connectors.facebook.credentials import FacebookConnection


def stored_token(connection: FacebookConnection) -> Secret | None:
    """Blocks."""
    if connection.tokens is None:
        return None
    tokens = FileTokenStore(connection.tokens).load(_name(connection))
    return tokens.access if tokens else None


def store_token(connection: FacebookConnection, token: Secret, expires_at: datetime | None) -> None:
    """Blocks. Raises ConnectionMissing without a folder."""
    store = FileTokenStore(require_folder(connection))
    with store.lock(_name(connection)):
        store.save(_name(connection), Tokens(access=token, expires_at=expires_at))


def require_folder(connection: FacebookConnection) -> Path:
    """Raises ConnectionMissing."""
    if connection.tokens is None:
        raise ConnectionMissing(
            f"facebook connection {connection.name!r} has no folder `tokens`, so an exchanged token would be lost"
        )
    return connection.tokens


def _name(connection: FacebookConnection) -> str:
    return f"facebook-{connection.name}"
