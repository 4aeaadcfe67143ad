"""How a worker reaches Twilio: account, credentials, sender, where status callbacks go. Named by activities, never carried in their inputs.

Nothing here loads the SDK. What isn't set comes from the SDK's own variables, `TWILIO_ACCOUNT_SID` and so on.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self

from connectors.core import Connection, Secret

_CHAIN = {
    "account_sid": "TWILIO_ACCOUNT_SID",
    "auth_token": "TWILIO_AUTH_TOKEN",
    "api_key": "TWILIO_API_KEY",
    "api_secret": "TWILIO_API_SECRET",
    "edge": "TWILIO_EDGE",
    "region": "TWILIO_REGION",
}


@dataclass(frozen=True, kw_only=True)
class TwilioConnection(Connection):
    """One Twilio account. Either `auth_token`, or `api_key` with `api_secret`; webhooks are signed with the auth token whichever it is."""

    connector: ClassVar[str] = "twilio"

    account_sid: str = field(default="", metadata={"help": "the account, AC..."})
    auth_token: Secret | None = field(default=None, metadata={"help": "of the account; also verifies webhooks"})
    api_key: Secret | None = field(default=None, metadata={"help": "SK..., instead of the auth token"})
    api_secret: Secret | None = field(default=None, metadata={"help": "of the API key"})
    signing_secret: Secret | None = field(
        default=None, metadata={"help": "the SharedKey of webhook rules that sign with HMAC-SHA256"}
    )
    sender: str = field(default="", metadata={"help": "number or channel address for calls that name no sender"})
    status_callback: str = field(
        default="", metadata={"help": "public address of your webhooks, which Twilio tells about deliveries"}
    )
    edge: str = field(default="", metadata={"help": "such as dublin"})
    region: str = field(default="", metadata={"help": "such as ie1"})
    base_url: str = field(default="", metadata={"help": "scheme and host to send every request to, for a fake"})
    proxy: Secret | None = field(default=None, metadata={"help": "URL of an HTTP proxy"})
    connect_timeout: float = field(default=5.0, metadata={"help": "seconds until connected"})
    read_timeout: float = field(default=30.0, metadata={"help": "seconds without a byte of the answer"})
    read_lag: float = field(default=10.0, metadata={"help": "seconds until what was accepted must be visible in lists"})
    ledger: Path | None = field(
        default=None, metadata={"help": "file of what was sent, shared by the workers; default: in the user's folder"}
    )

    @classmethod
    def from_chain(cls, name: str) -> Self | None:
        """The SDK's own variables, for the connection `default` alone."""
        values = {field: text for field, key in _CHAIN.items() if (text := os.environ.get(key, ""))}
        if name != "default" or "account_sid" not in values:
            return None
        secrets = {key: Secret(values.pop(key)) for key in ("auth_token", "api_key", "api_secret") if key in values}
        return cls(name=name, **values, **secrets)  # type: ignore[arg-type]

    @property
    def ledger_path(self) -> Path:
        """One file an account, so that accounts don't wait for each other."""
        if self.ledger is not None:
            return self.ledger
        state = os.environ.get("XDG_STATE_HOME") or os.environ.get("LOCALAPPDATA") or Path.home() / ".local" / "state"
        return Path(state) / "dtf-runtime" / f"twilio-{self.account_sid[-8:] or 'default'}.db"
