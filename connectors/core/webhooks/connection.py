"""Where the webhook app is reached, and what signs its links: for the app and for every worker that makes links."""

from dataclasses import dataclass, field
from typing import ClassVar

from connectors.core.connections import Connection
from connectors.core.secret import Secret


@dataclass(frozen=True, kw_only=True)
class WebhookConnection(Connection):
    """`Links.of(resolve(WebhookConnection))`. The same on the app and on the workers."""

    connector: ClassVar[str] = "webhooks"

    base_url: str = field(
        default="", metadata={"help": "where the webhook app is reached from outside, https://hooks.example.com"}
    )
    signing_key: Secret | None = field(
        default=None, metadata={"help": "signs links; at least 32 characters, the same on the app and the workers"}
    )
    previous_key: Secret | None = field(
        default=None, metadata={"help": "the one before, still believed until the links it signed have expired"}
    )
