"""The connection of the X connector: an app's keys and the account it posts for.

Credentials are sent to X's own host, or to `base_url` when there is one, and nowhere else.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

from connectors.core import Connection, ConnectionMissing, Secret
from connectors.core.route import Route

HOST = "https://api.twitter.com"
"""What tweepy calls, and what OAuth 1.0a signs; X serves the same API there and at api.x.com."""


def _help(text: str) -> dict[str, Any]:
    return {"help": text}


@dataclass(frozen=True, kw_only=True)
class TwitterConnection(Connection):
    """One account. OAuth 1.0a (four keys, which do not expire), or an OAuth 2 user token."""

    connector: ClassVar[str] = "twitter"

    consumer_key: Secret | None = field(default=None, metadata=_help("OAuth 1.0a: the app's API key"))
    consumer_secret: Secret | None = field(
        default=None, metadata=_help("OAuth 1.0a: its secret, which signs webhooks too")
    )
    access_token: Secret | None = field(default=None, metadata=_help("OAuth 1.0a: the account's token"))
    access_token_secret: Secret | None = field(default=None, metadata=_help("OAuth 1.0a: its secret"))
    oauth2_token: Secret | None = field(default=None, metadata=_help("an OAuth 2 user token, instead of the four"))
    tokens: Path | None = field(
        default=None, metadata=_help("a folder with OAuth 2 tokens that are renewed there, instead of the four")
    )
    client_id: str = field(default="", metadata=_help("OAuth 2: the app's client id, to renew tokens"))
    client_secret: Secret | None = field(default=None, metadata=_help("OAuth 2: its secret, of a confidential client"))
    base_url: str = field(default="", metadata=_help("another host that speaks for X: a gateway, or the bundled fake"))
    proxy: Secret | None = field(default=None, metadata=_help("a URL; else the environment's HTTPS_PROXY"))
    connect_timeout: float = field(default=10.0, metadata=_help("seconds for a new connection"))
    read_timeout: float = field(default=30.0, metadata=_help("seconds without a byte of the answer"))
    claims: Path | None = field(
        default=None,
        metadata=_help("a file in which the workers of a machine note which call owns which post; else in memory"),
    )

    def __post_init__(self) -> None:
        four = (self.consumer_key, self.consumer_secret, self.access_token, self.access_token_secret)
        if self.tokens is not None and not self.client_id:
            raise ConnectionMissing(
                f"twitter connection {self.name!r} needs client_id to renew the tokens in its folder"
            )
        if self.oauth2_token or self.tokens:
            return
        if not all(four):
            problem = "needs all four of" if any(four) else "has no credentials:"
            raise ConnectionMissing(
                f"twitter connection {self.name!r} {problem} consumer_key, consumer_secret, access_token, access_token_secret; "
                f"or oauth2_token; or tokens and client_id"
            )

    @property
    def uses_oauth1(self) -> bool:
        return self.oauth2_token is None and self.tokens is None

    @property
    def owner_id(self) -> str:
        """The account's id when the token tells it, as those of OAuth 1.0a do; else empty."""
        token = self.access_token.reveal() if self.access_token and self.uses_oauth1 else ""
        head = token.partition("-")[0]
        return head if head.isdigit() else ""

    @property
    def host(self) -> str:
        return self.base_url.rstrip("/") or HOST

    def route(self) -> Route:
        return Route(
            connection=f"twitter/{self.name}",
            proxy=self.proxy,
            connect_timeout=self.connect_timeout,
            allow_private=bool(self.base_url),
        )

    def signed(self, method: str, url: str) -> dict[str, str]:
        """The Authorization of OAuth 1.0a, for a request whose body isn't a form. Raises MissingExtraError."""
        return _signed(self, method, HOST + url.removeprefix(self.host))

    @classmethod
    def from_chain(cls, name: str) -> Self | None:
        """No SDK has a chain of its own for X."""
        return None


def _signed(connection: TwitterConnection, method: str, url: str) -> dict[str, str]:
    from dtf_runtime.plugins import require

    oauth1 = require("oauthlib.oauth1", "twitter")
    keys = (
        connection.consumer_key,
        connection.consumer_secret,
        connection.access_token,
        connection.access_token_secret,
    )
    one, two, three, four = (key.reveal() if key else "" for key in keys)
    signer = oauth1.Client(one, client_secret=two, resource_owner_key=three, resource_owner_secret=four)
    _, headers, _ = signer.sign(url, http_method=method)
    return {"authorization": headers["Authorization"]}
