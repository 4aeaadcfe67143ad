"""The SDK's client, one a connection, and the one way to call it: `twilio_call`.

The SDK hard-codes its hosts and sets no time-out. Both are the matter of a requests adapter here, which also is how a connection points at a
fake or a proxy; no method of the SDK is patched. It must never let anything below resend: a POST that is sent twice is two messages.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

from connectors.core import InvalidRequest, client_of
from connectors.twilio.connection import TwilioConnection
from connectors.twilio.errors import is_known, mapped
from dtf_runtime.plugins import require
from dtf_runtime.tracing import redactor

_T = TypeVar("_T")
_ROUNDED = 1.5  # seconds: a Date has no fractions, so the largest difference seen is the best, unless a clock was set
_POOL = 100  # connections: as many as a worker has threads


class Answers(threading.local):
    """Headers of this thread's last answer, names in lower case. The SDK keeps them from its exceptions and from its instances."""

    headers: Mapping[str, str] = {}


class ServerTime:
    """What the server's clock says, as far as its answers told: dates of messages are compared with this clock."""

    def __init__(self) -> None:
        self._ahead: float | None = None  # seconds

    def note(self, headers: Mapping[str, str]) -> None:
        try:
            date = parsedate_to_datetime(headers.get("date", ""))
        except ValueError:
            return
        ahead = date.timestamp() - time.time()
        if self._ahead is None or ahead > self._ahead or ahead < self._ahead - _ROUNDED:
            self._ahead = ahead

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time() + (self._ahead or 0.0)

    @property
    def is_known(self) -> bool:
        return self._ahead is not None

    def latest(self) -> float | None:
        """No earlier than the server's now. None: nothing is known yet."""
        return None if self._ahead is None else self.now() + 1.0


class Client:
    """`sdk` is a `twilio.rest.Client`. From any thread."""

    def __init__(self, connection: TwilioConnection) -> None:
        self.time = ServerTime()
        self.answers = Answers()
        self.sdk = _made(connection, self._note)

    def _note(self, headers: Mapping[str, str]) -> None:
        self.answers.headers = {name.lower(): value for name, value in headers.items()}
        self.time.note(self.answers.headers)


def client(connection: TwilioConnection) -> Client:
    """Raises InvalidRequest (no account or credentials), MissingExtraError (the SDK is not installed)."""
    return client_of(connection, Client)


def twilio_call(
    connection: TwilioConnection, what: str, send: Callable[[Any], _T], *, repeatable: bool
) -> tuple[_T, Mapping[str, str]]:
    """`send(sdk)`, and the answer's headers. Raises the kit's errors alone.

    `what` names the call in errors. `repeatable`: a lost answer is then Transient, else Ambiguous.
    """
    found = client(connection)
    found.answers.headers = {}
    try:
        return send(found.sdk), found.answers.headers
    except Exception as raised:
        if not is_known(raised):
            raise  # a mistake of ours must look like one
        # its own text has the address, which may hold a number, so neither it nor the chain may be stored
        error = mapped(raised, what=what, repeatable=repeatable, headers=found.answers.headers)
    raise error from None


def request_id(headers: Mapping[str, str]) -> str:
    """For `Mutation.request_id`."""
    return headers.get("twilio-request-id", "")


def _made(connection: TwilioConnection, note: Callable[[Mapping[str, str]], None]) -> Any:
    user, password = _credentials(connection)
    rest = require("twilio.rest", "twilio")
    quiet_loggers()
    return rest.Client(
        user,
        password,
        connection.account_sid,
        region=connection.region or None,
        edge=connection.edge or None,
        http_client=_http()(connection, note),
        environment={
            "": ""
        },  # what the connection doesn't say must not come from elsewhere; an empty mapping would mean os.environ
        user_agent_extensions=["dtf-runtime"],
    )


def _credentials(connection: TwilioConnection) -> tuple[str, str]:
    if not connection.account_sid:
        raise InvalidRequest(f"TwilioConnection {connection.name!r} has no account_sid")
    if connection.api_key and connection.api_secret:
        return connection.api_key.reveal(), connection.api_secret.reveal()
    if connection.auth_token:
        return connection.account_sid, connection.auth_token.reveal()
    raise InvalidRequest(
        f"TwilioConnection {connection.name!r} has no credentials: set auth_token, or api_key and api_secret"
    )


@lru_cache
def _http() -> Any:
    """The SDK's HTTP client with our adapter, made when the SDK is first used."""
    requests_adapters = require("requests.adapters", "twilio")
    sdk_http = require("twilio.http.http_client", "twilio")
    from http.cookiejar import DefaultCookiePolicy

    class Adapter(requests_adapters.HTTPAdapter):  # type: ignore[misc, name-defined]
        """Rewrites scheme and host, sets the time-out."""

        def __init__(self, connection: TwilioConnection) -> None:
            self._base = urlsplit(connection.base_url) if connection.base_url else None
            self._timeout = (connection.connect_timeout, connection.read_timeout)
            super().__init__(max_retries=0, pool_maxsize=_POOL)

        def send(self, request: Any, **options: Any) -> Any:
            if self._base is not None:
                url = urlsplit(request.url)
                request.url = urlunsplit(url._replace(scheme=self._base.scheme, netloc=self._base.netloc))
                options["proxies"] = {}  # they were chosen for the real host
            if options.get("timeout") is None:
                options["timeout"] = self._timeout
            return super().send(request, **options)

    class Http(sdk_http.TwilioHttpClient):  # type: ignore[misc, name-defined]
        """Notes the headers of each answer, which the SDK's exceptions and instances leave out."""

        def __init__(self, connection: TwilioConnection, note: Callable[[Mapping[str, str]], None]) -> None:
            proxy = connection.proxy.reveal() if connection.proxy else ""
            super().__init__(proxy={"http": proxy, "https": proxy} if proxy else None)
            self._note = note
            self.session.mount("https://", Adapter(connection))
            self.session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

        def request(self, *args: Any, **options: Any) -> Any:
            answer = super().request(*args, **options)
            self._note(dict(answer.headers or {}))
            return answer

    return Http


def quiet_loggers() -> None:
    """Idempotent. At INFO the SDK writes addresses and queries, which hold numbers, and urllib3 does at DEBUG."""
    logging.getLogger("twilio.http_client").addFilter(_without_content)
    logging.getLogger("urllib3.connectionpool").addFilter(_without_query)


def _without_content(record: logging.LogRecord) -> bool:
    if record.levelno <= logging.INFO:
        record.msg, record.args = f"({record.name} has more to say, which may hold numbers and secrets)", ()
        return True
    return redactor.filter(record)


def _without_query(record: logging.LogRecord) -> bool:
    said = record.getMessage()  # not the arguments: another filter may have put them into the message already
    if "/Accounts/AC" in said or "/v2/" in said:
        record.msg, record.args = "(a request to Twilio)", ()
    return redactor.filter(record)
