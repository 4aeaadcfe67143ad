"""tweepy as it is, one client a connection: on a session that sets every call's time-out and may lead elsewhere than to X.

No method of the SDK is patched; `wait_on_rate_limit` stays off, since it sleeps in the worker. Blocks: for worker threads.
"""

import logging
import threading
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec

from connectors.core import Ambiguous, ConnectorError, Permanent, Transient, client_of
from connectors.twitter.credentials import HOST, TwitterConnection
from connectors.twitter.errors import error_of
from connectors.twitter.oauth2 import access_token
from dtf_runtime.plugins import require
from dtf_runtime.tracing import redactor

_LOGGERS = (  # tweepy prints its headers at DEBUG, the signers what they sign
    *("tweepy", "tweepy.client", "tweepy.auth", "tweepy.api", "urllib3", "urllib3.connectionpool"),
    *("requests_oauthlib", "requests_oauthlib.oauth1_auth", "requests_oauthlib.oauth1_session"),
    *("requests_oauthlib.oauth2_session", "oauthlib", "oauthlib.oauth1.rfc5849", "oauthlib.oauth1.rfc5849.signature"),
)
_answered = threading.local()
"""`last`: the answer to this thread's call, which an exception of tweepy's may fail to carry."""


def call(connection: TwitterConnection, method: str, /, *args: Any, repeatable: bool, **kwargs: Any) -> Any:
    """One call of tweepy's Client, and its answer's JSON. `repeatable`: sending it twice does no harm. Raises ConnectorError."""
    client = client_of(connection, _make)
    what = f"X {method}"
    requests = require("requests", "twitter")
    _answered.last = None
    try:
        response = getattr(client, method)(*args, user_auth=connection.uses_oauth1, **kwargs)
    except requests.RequestException as error:  # its text may hold the address with its query
        raise _broken(error, what, repeatable=repeatable) from None
    except ConnectorError:  # of a renewal
        raise
    except Exception as error:
        # tweepy's own for a status it doesn't like, or what it stumbled over in an error it could not read: the answer says which
        answer = _answered.last
        if answer is None or answer.status_code < 400:
            raise (
                error
                if answer is None
                else _maybe(
                    f"{what}: the answer can't be read ({type(error).__name__})", "garbage", repeatable=repeatable
                )
            ) from None
        raise error_of(answer.status_code, answer.headers, answer.content, what=what, repeatable=repeatable) from None
    try:
        return msgspec.json.decode(response.content)
    except (msgspec.DecodeError, RecursionError):
        raise _maybe(f"{what}: the answer is no JSON", "garbage", repeatable=repeatable) from None


def _broken(error: Any, what: str, *, repeatable: bool) -> ConnectorError:
    exceptions = require("requests.exceptions", "twitter")
    code = type(error).__name__
    if isinstance(error, exceptions.SSLError):
        return Permanent(f"{what}: the server's certificate is not trusted", code=code)
    refused = require("urllib3.exceptions", "twitter").NewConnectionError
    if isinstance(error, (exceptions.ConnectTimeout, exceptions.ProxyError)) or isinstance(_reason(error), refused):
        return Transient(f"{what}: no connection ({code})", code=code)
    if isinstance(error, exceptions.TooManyRedirects):
        return Permanent(f"{what}: a redirect, which is not followed", code=code)
    if isinstance(error, (exceptions.Timeout, exceptions.ConnectionError, exceptions.ChunkedEncodingError)):
        return _maybe(f"{what}: no whole answer ({code})", code, repeatable=repeatable)
    if isinstance(error, ValueError) and not isinstance(error, exceptions.JSONDecodeError):
        return Permanent(f"{what}: it can't be sent ({code})", code=code)
    return _maybe(f"{what}: the answer can't be read ({code})", code, repeatable=repeatable)


def _reason(error: Any) -> Any:
    """What urllib3 gave as the reason, below what requests made of it."""
    return getattr(error.args[0], "reason", None) if error.args else None


def _maybe(text: str, code: str, *, repeatable: bool) -> ConnectorError:
    if repeatable:
        return Transient(text, code=code)
    return Ambiguous(f"{text}; it may have happened", code=code)


def _make(connection: TwitterConnection) -> Any:
    tweepy = require("tweepy", "twitter")
    for name in _LOGGERS:
        if redactor not in (logger := logging.getLogger(name)).filters:
            logger.addFilter(redactor)
    secrets = {
        "consumer_key": connection.consumer_key,
        "consumer_secret": connection.consumer_secret,
        "access_token": connection.access_token,
        "access_token_secret": connection.access_token_secret,
    }
    client = tweepy.Client(
        **{name: secret.reveal() if secret else None for name, secret in secrets.items()},
        bearer_token="the adapter's matter",
        return_type=require("requests", "twitter").Response,
        wait_on_rate_limit=False,
    )
    session = client.session
    session.mount("https://", _adapter(connection))
    session.max_redirects = 0
    if connection.proxy is not None:
        session.proxies = {"https": connection.proxy.reveal(), "http": connection.proxy.reveal()}
    if connection.base_url:
        session.trust_env = False  # a gateway of one's own, or the fake: no proxy leads there
    return client


def _adapter(connection: TwitterConnection) -> Any:
    adapters = require("requests.adapters", "twitter")

    class Adapter(adapters.HTTPAdapter):  # type: ignore[name-defined,misc]
        """Leads to `base_url`, when there is one, sets the time-out that tweepy doesn't, and an OAuth 2 token that is fresh."""

        def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
            if connection.base_url and request.url.startswith(f"{HOST}/"):
                there, asked = urlsplit(connection.host), urlsplit(request.url)
                request.url = urlunsplit(
                    (there.scheme, there.netloc, there.path + asked.path, asked.query, asked.fragment)
                )
            kwargs["timeout"] = (connection.connect_timeout, connection.read_timeout)
            if connection.uses_oauth1:
                _answered.last = answer = super().send(request, *args, **kwargs)
                return answer
            token = access_token(connection)
            for again in (connection.tokens is not None, False):
                request.headers["Authorization"] = f"Bearer {token.reveal()}"
                _answered.last = answer = super().send(request, *args, **kwargs)
                if answer.status_code != 401 or not again:
                    break
                answer.close()  # X did nothing, so it may be sent again, with a token that was renewed meanwhile
                token = access_token(connection, refused=token)
            return answer

    return Adapter(pool_maxsize=32)


def owner_id(connection: TwitterConnection) -> str:
    """The account's id: of the token itself, or asked for once."""
    return connection.owner_id or client_of(connection, _asked_owner)


def _asked_owner(connection: TwitterConnection) -> str:
    return str(call(connection, "get_me", repeatable=True)["data"]["id"])
