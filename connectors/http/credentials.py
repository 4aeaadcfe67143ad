"""The connection of the HTTP connector, and what it adds to a request. Credentials go to `base_url`'s own origin and nowhere else."""

import re
from base64 import b64encode
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, Self
from urllib.parse import quote, quote_plus, urlsplit

from connectors.core import Connection, ConnectionMissing, Secret
from connectors.core.route import Resolver, Route, system_resolver
from connectors.core.urls import origin


def _help(text: str) -> dict[str, Any]:
    return {"help": text}


@dataclass(frozen=True, kw_only=True)
class HttpConnection(Connection):
    """How one API, or any web server, is reached. With credentials of any kind `base_url` must say whose they are."""

    connector: ClassVar[str] = "http"

    base_url: str = field(default="", metadata=_help("relative addresses of requests are below it"))
    username: str = field(default="", metadata=_help("basic authentication, with password"))
    password: Secret | None = field(default=None, metadata=_help("basic authentication, with username"))
    bearer_token: Secret | None = field(default=None, metadata=_help("sent as Authorization: Bearer"))
    api_key: Secret | None = field(default=None, metadata=_help("sent in api_key_header, or in api_key_query"))
    api_key_header: str = field(default="X-Api-Key", metadata=_help("the header of the API key"))
    api_key_query: str = field(default="", metadata=_help("the parameter of the query that holds the API key instead"))
    token_url: str = field(default="", metadata=_help("OAuth2 client credentials: where tokens come from"))
    client_id: str = field(default="", metadata=_help("OAuth2 client credentials"))
    client_secret: Secret | None = field(default=None, metadata=_help("OAuth2 client credentials"))
    scope: str = field(default="", metadata=_help("OAuth2: scopes, separated by spaces"))
    audience: str = field(default="", metadata=_help("OAuth2: sent with the request for a token when given"))
    client_auth: Literal["basic", "body"] = field(
        default="basic", metadata=_help("OAuth2: how id and secret are sent for a token")
    )
    client_cert: Path | None = field(default=None, metadata=_help("TLS client certificate, a PEM file"))
    client_key: Path | None = field(default=None, metadata=_help("its key, when it is not in the same file"))
    client_key_password: Secret | None = field(default=None, metadata=_help("the password of that key"))
    headers: tuple[str, ...] = field(default=(), metadata=_help("sent with every request to base_url: Name: value"))
    proxy: Secret | None = field(default=None, metadata=_help("a URL; else the environment's HTTPS_PROXY and so on"))
    ca_file: Path | None = field(default=None, metadata=_help("authorities to trust instead of the usual ones, PEM"))
    verify: bool = field(default=True, metadata=_help("false: certificates are not checked, for a test server only"))
    connect_timeout: float = field(default=10.0, metadata=_help("seconds for a new connection"))
    idle_timeout: float = field(default=60.0, metadata=_help("seconds without a byte"))
    max_connections: int = field(default=1_000, metadata=_help("open at a time, per worker"))
    max_bytes: int = field(default=10 * 1024**3, metadata=_help("of any one answer, saved ones too"))
    allow_private: bool = field(
        default=False, metadata=_help("loopback, private and carrier-NAT addresses may be reached")
    )
    allow_hosts: tuple[str, ...] = field(
        default=(), metadata=_help("names, *.domain, addresses and networks that may be reached whatever they are")
    )
    idempotency_header: str = field(default="Idempotency-Key", metadata=_help("the header of a call's key"))
    idempotency_quoted: bool = field(
        default=False, metadata=_help("the key in double quotes, as the IETF draft has it")
    )
    resolver: Resolver = field(default=system_resolver, metadata=_help("a function; not from the environment"))

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ConnectionMissing(
                f"base_url of http connection {self.name!r} must be an address without credentials or query"
            )
        if self._has_credentials and not (parts.scheme in ("http", "https") and parts.hostname):
            raise ConnectionMissing(
                f"http connection {self.name!r} has credentials, so base_url must say whose they are: base_url='https://...'"
            )
        if bool(self.token_url) != bool(self.client_id and self.client_secret):
            raise ConnectionMissing(
                f"http connection {self.name!r} needs token_url, client_id and client_secret together"
            )

    @classmethod
    def from_chain(cls, name: str) -> Self | None:
        """The web needs no credentials, so the default connection is always there."""
        return cls() if name == "default" else None

    @property
    def _has_credentials(self) -> bool:
        given = (self.username, self.password, self.bearer_token, self.api_key, self.token_url, self.client_cert)
        return any(given) or bool(self.headers)

    def is_own(self, url: str) -> bool:
        """Whether credentials may go there."""
        return bool(self.base_url) and origin(url) == origin(self.base_url)

    def route(self, url: str) -> Route:
        """The client certificate is shown to the connection's own servers alone."""
        own, other = self._routes
        return own if self.is_own(url) or url == self.token_url else other

    @cached_property
    def _routes(self) -> tuple[Route, Route]:
        route = Route(
            connection=self.name,
            proxy=self.proxy,
            verify=self.verify,
            ca_file=self.ca_file,
            client_cert=self.client_cert,
            client_key=self.client_key,
            client_key_password=self.client_key_password,
            connect_timeout=self.connect_timeout,
            max_connections=self.max_connections,
            allow_private=self.allow_private,
            allow_hosts=self.allow_hosts,
            resolver=self.resolver,
        )
        return route, route.without_identity()

    def fixed_headers(self) -> dict[str, str]:
        """Lower-case names. What needs no token."""
        pairs = (line.partition(":") for line in self.headers)
        found = {name.strip().lower(): value.strip() for name, _, value in pairs}
        if self.username or self.password:
            found["authorization"] = basic(self.username, self.password)
        if self.bearer_token:
            found["authorization"] = f"Bearer {self.bearer_token.reveal()}"
        if self.api_key and not self.api_key_query:
            found[self.api_key_header.lower()] = self.api_key.reveal()
        return found

    def with_key(self, url: str) -> str:
        """The address with the API key in its query, when that is where it goes."""
        if not (self.api_key and self.api_key_query):
            return url
        pair = f"{quote(self.api_key_query, safe='')}={quote(self.api_key.reveal(), safe='')}"
        return f"{url}{'&' if urlsplit(url).query else '?'}{pair}"

    def without_key(self, text: str) -> str:
        """The text without the API key as `with_key` adds it."""
        if not (self.api_key and self.api_key_query):
            return text
        name, key = re.escape(self.api_key_query), self.api_key.reveal()
        for form in {key, quote(key, safe=""), quote_plus(key)}:
            text = re.sub(rf"([?&]){name}={re.escape(form)}(?:&|(?=[>\s#]|$))", r"\1", text)
        return text


def basic(username: str, password: Secret | None) -> str:
    """RFC 7617. The encoded pair is masked in logs as the password is."""
    pair = f"{username}:{password.reveal() if password else ''}"
    return f"Basic {Secret(b64encode(pair.encode()).decode()).reveal()}"
