"""The connection of the Teams connector: the address of a Workflows webhook, which is a secret, since whoever has it can post."""

from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import urlsplit

from connectors.core import Connection, ConnectionMissing, Secret
from connectors.core.route import Route


def _help(text: str) -> dict[str, Any]:
    return {"help": text}


@dataclass(frozen=True, kw_only=True)
class TeamsConnection(Connection):
    """One channel or chat, as its Workflows webhook sees it; and the key of an outgoing webhook, when there is one."""

    connector: ClassVar[str] = "teams"

    webhook_url: Secret | None = field(
        default=None, metadata=_help("of the flow 'Post to a channel when a webhook request is received'")
    )
    outgoing_key: Secret | None = field(
        default=None, metadata=_help("the security token that Teams shows when an outgoing webhook is made, base64")
    )
    proxy: Secret | None = field(default=None, metadata=_help("a URL; else the environment's HTTPS_PROXY"))
    connect_timeout: float = field(default=10.0, metadata=_help("seconds for a new connection"))
    timeout: float = field(default=30.0, metadata=_help("seconds for all of one attempt"))
    allow_private: bool = field(default=False, metadata=_help("loopback and private addresses may be reached"))

    def __post_init__(self) -> None:
        if self.webhook_url is not None:
            parts = urlsplit(self.webhook_url.reveal())
            if parts.scheme not in ("https", "http") or not parts.hostname:
                raise ConnectionMissing(
                    f"webhook_url of teams connection {self.name!r} must be an address, https://..."
                )
            if parts.scheme == "http" and not self.allow_private:
                raise ConnectionMissing(f"webhook_url of teams connection {self.name!r} must be https: it is a secret")
            Secret(parts.query)  # the signature alone is masked too

    def address(self) -> str:
        """Raises ConnectionMissing."""
        if not self.webhook_url:
            raise ConnectionMissing(f"teams connection {self.name!r} has no webhook_url")
        return self.webhook_url.reveal()

    def route(self) -> Route:
        return Route(
            connection=f"teams/{self.name}",
            proxy=self.proxy,
            connect_timeout=self.connect_timeout,
            allow_private=self.allow_private,
        )
