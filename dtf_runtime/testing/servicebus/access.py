"""Who may do what: shared access keys, and the tokens that clients sign with them.

Tokens are judged by the machine's clock, not the emulator's: the SDK dates them by its own, and moving the emulator's time
is about messages. A secret never appears in an error or a log line.
"""

import base64
import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import unquote, unquote_plus, urlsplit

from dtf_runtime.testing.servicebus.broker.refusals import Refused, unauthorized

ROOT_KEY_NAME = "RootManageSharedAccessKey"


class Right(StrEnum):
    SEND = "Send"
    LISTEN = "Listen"
    MANAGE = "Manage"  # comes with the other two


@dataclass(frozen=True)
class Key:
    name: str
    rights: frozenset[Right]
    secret: str = field(repr=False)


@dataclass(frozen=True)
class Grant:
    """What a token allows: these rights, on this path and below it (empty: the whole namespace)."""

    path: str
    rights: frozenset[Right]
    expires_at: float

    def allows(self, right: Right, address: str) -> bool:
        address = address.strip("/").lower()
        covers = self.path in ("", address) or address.startswith(f"{self.path}/")
        return covers and right in self.rights and self.expires_at > time.time()


class Access:
    """The keys of a namespace."""

    def __init__(self, root_secret: str | None) -> None:
        self._keys: dict[str, Key] = {}
        self.add(ROOT_KEY_NAME, frozenset(Right), root_secret)

    def add(self, name: str, rights: frozenset[Right], secret: str | None = None) -> Key:
        if Right.MANAGE in rights:
            rights = frozenset(Right)
        key = Key(name, rights, secret or base64.b64encode(secrets.token_bytes(32)).decode())
        self._keys[name] = key
        return key

    @property
    def root(self) -> Key:
        return self._keys[ROOT_KEY_NAME]

    def check(self, token: str) -> Grant:
        """What a shared access signature allows. Refused when it is malformed, signed by another key, or too old."""
        kind, _, rest = token.partition(" ")
        fields = dict(part.split("=", 1) for part in rest.split("&") if "=" in part)
        if kind != "SharedAccessSignature" or not {"sr", "sig", "se", "skn"} <= fields.keys():
            raise unauthorized("MalformedToken: the emulator takes shared access signatures only.")
        key = self._keys.get(unquote_plus(fields["skn"]))
        signed = f"{fields['sr']}\n{fields['se']}".encode()
        secret = key.secret if key is not None else ""
        signature = base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest())
        if key is None or not hmac.compare_digest(signature, unquote(fields["sig"]).encode()):
            raise unauthorized("InvalidSignature: The token has an invalid signature.")
        if not fields["se"].isdigit() or int(fields["se"]) <= time.time():
            raise unauthorized("ExpiredToken: The token is expired.")
        path = urlsplit(unquote_plus(fields["sr"])).path.strip("/").lower()
        return Grant(path, key.rights, float(fields["se"]))


def missing_right(right: Right) -> Refused:
    return unauthorized(f"Unauthorized access. '{right}' claim(s) are required to perform this operation.")
