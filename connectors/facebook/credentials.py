"""The connection of the Facebook connector: a page, its token, and the app's secret. The token goes into a header, never into an address."""

from dataclasses import dataclass, field
from hashlib import sha256
from hmac import new as new_hmac
from pathlib import Path
from typing import Any, ClassVar

from connectors.core import Connection, Secret
from connectors.core.route import Route

HOST = "https://graph.facebook.com"
VERSION = "v26.0"
"""Of the Graph API, from July 2026. An answer in another one is an error: an expired version is silently served by the oldest that lives."""


def _help(text: str) -> dict[str, Any]:
    return {"help": text}


@dataclass(frozen=True, kw_only=True)
class FacebookConnection(Connection):
    """One page."""

    connector: ClassVar[str] = "facebook"

    page_id: str = field(default="", metadata=_help("the page's id"))
    page_token: Secret | None = field(default=None, metadata=_help("a page access token"))
    app_id: str = field(default="", metadata=_help("the app's id, to exchange and debug tokens"))
    app_secret: Secret | None = field(
        default=None, metadata=_help("the app's secret: proves calls, verifies webhooks, exchanges and debugs tokens")
    )
    verify_token: Secret | None = field(default=None, metadata=_help("what was entered where webhooks are set up"))
    tokens: Path | None = field(
        default=None, metadata=_help("a folder in which exchanged tokens are kept; they go before page_token")
    )
    base_url: str = field(default="", metadata=_help("another host that speaks for the Graph API, or the bundled fake"))
    proxy: Secret | None = field(default=None, metadata=_help("a URL; else the environment's HTTPS_PROXY"))
    connect_timeout: float = field(default=10.0, metadata=_help("seconds for a new connection"))
    timeout: float = field(default=60.0, metadata=_help("seconds for all of one attempt"))
    claims: Path | None = field(
        default=None, metadata=_help("a file in which the workers of a machine note which call owns which comment")
    )

    @property
    def host(self) -> str:
        return self.base_url.rstrip("/") or HOST

    def route(self) -> Route:
        return Route(
            connection=f"facebook/{self.name}",
            proxy=self.proxy,
            connect_timeout=self.connect_timeout,
            allow_private=bool(self.base_url),
        )

    def proof(self, token: Secret) -> str:
        """`appsecret_proof`: that the caller has the app's secret too. Empty without one."""
        if not self.app_secret:
            return ""
        return new_hmac(self.app_secret.reveal().encode(), token.reveal().encode(), sha256).hexdigest()
