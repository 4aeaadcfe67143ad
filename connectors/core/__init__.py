"""The kit that connectors are built on, ours and yours: connections, credentials, errors, idempotency. Nothing of any one service is in it.

Importing it loads no SDK and no HTTP library.
"""

from connectors.core.addresses import AddressRefused
from connectors.core.bodies import BodyTooLarge
from connectors.core.clients import client_of, forget_clients
from connectors.core.connections import Connection, resolve, using
from connectors.core.effects import Declaration, Effect, Mutation, call_key, declaration_of, declare
from connectors.core.errors import (
    AlreadyExists,
    Ambiguous,
    AuthenticationFailed,
    CapacityUnavailable,
    Conflict,
    ConnectionMissing,
    ConnectorError,
    InvalidRequest,
    NotFound,
    Permanent,
    Throttled,
    Transient,
)
from connectors.core.retry import DEFAULT_RETRY, blips
from connectors.core.secret import Secret
from connectors.core.token_stores import FileTokenStore, KeyringTokenStore
from connectors.core.tokens import Tokens, TokenStore, refreshed, refreshed_async

__all__ = [
    "DEFAULT_RETRY",
    "AddressRefused",
    "AlreadyExists",
    "Ambiguous",
    "AuthenticationFailed",
    "BodyTooLarge",
    "CapacityUnavailable",
    "Conflict",
    "Connection",
    "ConnectionMissing",
    "ConnectorError",
    "Declaration",
    "Effect",
    "FileTokenStore",
    "InvalidRequest",
    "KeyringTokenStore",
    "Mutation",
    "NotFound",
    "Permanent",
    "Secret",
    "Throttled",
    "TokenStore",
    "Tokens",
    "Transient",
    "blips",
    "call_key",
    "client_of",
    "declaration_of",
    "declare",
    "forget_clients",
    "refreshed",
    "refreshed_async",
    "resolve",
    "using",
]
