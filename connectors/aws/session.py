"""boto3 sessions: one a connection, with credentials that refresh by themselves. Loads boto3.

Whatever credentials turn up are registered with the redactor before they sign anything, and botocore's own loggers are kept from writing
requests, answers and signatures: at DEBUG they would write session tokens, and the secret key that AssumeRole answers with.
"""

import logging
import os
import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from connectors.aws.codes import Kind, listed
from connectors.aws.connection import AwsConnection
from connectors.core import InvalidRequest, client_of
from dtf_runtime.plugins import require
from dtf_runtime.tracing import redact_value, redactor

DEFAULT_REGION = "us-east-1"
"""For services that have no regions; EC2 and the like need one to be named."""
GLOBAL_SERVICES = frozenset({"iam", "route53", "sts"})
_making = threading.Lock()  # making a session or a client of one is not safe from several threads
_CARRIERS = ("botocore.auth", "botocore.endpoint", "botocore.hooks", "botocore.httpsession", "botocore.parsers")
_OTHERS = (
    "botocore.credentials",
    "botocore.retries.standard",
    "botocore.regions",
    "botocore.utils",
    "urllib3.connectionpool",
)


@dataclass(frozen=True)
class SessionOf:
    """Makes the session of a connection. A later generation reads profiles and environment anew."""

    generation: int = 0

    def __call__(self, connection: AwsConnection) -> Any:
        boto3, botocore = require("boto3", "aws"), require("botocore.session", "aws")
        quiet_loggers()
        with _making:
            core = botocore.Session(profile=connection.profile)
            core.register_component("data_loader", _loader(core.get_config_variable("data_path")))
            if connection.region:
                core.set_config_variable("region", connection.region)
            if connection.access_key_id is not None:
                core.set_credentials(*_fixed(connection))
            if connection.role_arn:
                _assume(core, connection)
            events = core.get_component("event_emitter")
            events.register_first("before-sign.*.*", _Masks(core))
            events.register_first("needs-retry.*.*", _refused_for_now)
            return boto3.Session(botocore_session=core)


@dataclass(frozen=True)
class ClientOf:
    """Makes one client: of a service, in a region, with so many attempts on the wire."""

    service: str
    region: str | None
    attempts: int
    generation: int = 0

    def __call__(self, connection: AwsConnection) -> Any:
        session = client_of(connection, SessionOf(self.generation))
        region = self.region or session.region_name or os.environ.get("AWS_REGION")  # which boto3 itself leaves out
        if region is None and self.service in GLOBAL_SERVICES:
            region = DEFAULT_REGION
        if region is None:
            raise InvalidRequest(
                f"{self.service} needs a region: name one in the call, in AwsConnection(name={connection.name!r}, region=...), "
                "or in AWS_DEFAULT_REGION"
            )
        with _making:
            given = settings(connection, self.attempts, self.service)
            return session.client(self.service, region_name=region, **given)


def _refused_for_now(operation: Any, response: Any = None, **_: Any) -> bool | None:
    """False: botocore doesn't send it again. Too many requests are not made fewer by one more a moment later, and the moment would be slept in a
    worker's thread: the retry policy's durable timer does it."""
    if response is None:  # none came
        return None
    code = str(response[1].get("Error", {}).get("Code") or "")
    return False if listed(operation.service_model.service_name, code) is Kind.THROTTLED else None


def settings(connection: AwsConnection, attempts: int, service: str = "") -> dict[str, Any]:
    """Arguments of `session.client` that follow from the connection."""
    config = require("botocore.config", "aws").Config(
        connect_timeout=connection.connect_timeout,
        read_timeout=connection.read_timeout,
        retries={"mode": "standard", "total_max_attempts": attempts},
        max_pool_connections=100,  # as many as a worker has threads
        tcp_keepalive=True,
        user_agent_extra="dtf-runtime",
        proxies=_proxies(connection),
        s3={"addressing_style": connection.s3_addressing},
        signature_version="s3v4" if service == "s3" else None,  # else presigned addresses of old regions get the older
    )
    return {"endpoint_url": connection.endpoint_url, "verify": connection.ca_bundle, "config": config}


@lru_cache
def _loader(path: str | None) -> Any:
    """One for all sessions: it remembers the services' models, which take a second to read and some 30 MB for EC2."""
    return require("botocore.loaders", "aws").create_loader(path)


def quiet_loggers() -> None:
    """Idempotent: filters are kept once."""
    for name in _CARRIERS:
        logging.getLogger(name).addFilter(_without_payload)
    for name in _OTHERS:
        logging.getLogger(name).addFilter(redactor)


def _without_payload(record: logging.LogRecord) -> bool:
    """Requests and answers stay out of the log at DEBUG; what is rarer and louder is only masked."""
    if record.levelno <= logging.DEBUG:
        record.msg, record.args = f"({record.name} has more to say, which may hold secrets)", ()
        return True
    return redactor.filter(record)


def _fixed(connection: AwsConnection) -> tuple[str, str, str | None]:
    key, secret, token = connection.access_key_id, connection.secret_access_key, connection.session_token
    if key is None or secret is None:
        raise InvalidRequest(f"AwsConnection {connection.name!r} has only one of access_key_id and secret_access_key")
    return key.reveal(), secret.reveal(), token.reveal() if token else None


def _proxies(connection: AwsConnection) -> dict[str, str] | None:
    url = connection.proxy_url.reveal() if connection.proxy_url else connection.proxy
    return {"http": url, "https": url} if url else None


def _assume(core: Any, connection: AwsConnection) -> None:
    """Replaces the session's credentials by those of the role, fetched at their first use and again before they expire."""
    credentials = require("botocore.credentials", "aws")
    region = connection.region or core.get_config_variable("region") or DEFAULT_REGION
    source = core.create_client("sts", region_name=region, **settings(connection, 2))
    wanted: dict[str, Any] = {
        "RoleArn": connection.role_arn,
        "RoleSessionName": connection.role_session_name,
        "DurationSeconds": connection.role_duration,
    }
    if connection.external_id:
        wanted["ExternalId"] = connection.external_id.reveal()
    refresh = credentials.create_assume_role_refresher(source, wanted)
    core._credentials = credentials.DeferredRefreshableCredentials(refresh, method="assume-role")


class _Masks:
    """Registers credentials with the redactor when they are about to sign, so that refreshed ones are masked too."""

    def __init__(self, core: Any) -> None:
        self._core = core
        self._last: Any = None

    def __call__(self, **_: Any) -> None:
        credentials = self._core.get_credentials()
        if credentials is None:
            return
        frozen = credentials.get_frozen_credentials()
        if frozen != self._last:
            self._last = frozen
            for text in (frozen.access_key, frozen.secret_key, frozen.token):
                if text:
                    redact_value(text)
