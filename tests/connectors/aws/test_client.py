"""Clients: which there are, what they resend, whose credentials they sign with, and what of those is ever written down."""

import contextlib
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.aws import AwsConnection
from connectors.aws.client import aws_call, client, pages
from connectors.core import (
    Ambiguous,
    AuthenticationFailed,
    ConnectorError,
    Effect,
    InvalidRequest,
    Permanent,
    Secret,
    Throttled,
    Transient,
    resolve,
    using,
)
from dtf_runtime.tracing import redactor
from tests.connectors.aws.wire import Answer, Wire, error, to, wire

EMPTY = Answer(200, b"<DescribeInstancesResponse><reservationSet/></DescribeInstancesResponse>")
SESSION_TOKEN = "FwoGZXIvYXdzEBYaDHqa0AP-token-of-the-role"
ROLE = "arn:aws:iam::123456789012:role/clerk"


@pytest.fixture
def server() -> Iterator[Wire]:
    with wire() as found:
        yield found


def role_answer(key: str, lasts: timedelta) -> Answer:
    until = (datetime.now(UTC) + lasts).strftime("%Y-%m-%dT%H:%M:%SZ")
    parts = {
        "AccessKeyId": key,
        "SecretAccessKey": f"secret-of-{key}",
        "SessionToken": SESSION_TOKEN,
        "Expiration": until,
    }
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in parts.items())
    body = f"<AssumeRoleResponse><AssumeRoleResult><Credentials>{inner}</Credentials></AssumeRoleResult></AssumeRoleResponse>"
    return Answer(200, body.encode(), {"content-type": "text/xml"})


def in_turn(server: Wire, *answers: Answer) -> None:
    """One after another; the last one stays."""
    left = list(answers)
    server.answer = lambda: left.pop(0) if len(left) > 1 else left[0]


def signed_by(request: tuple[dict[str, str], bytes]) -> str:
    return request[0]["authorization"].split("Credential=", 1)[1].split("/", 1)[0]


def actions(server: Wire) -> list[str]:
    return [body.decode().split("Action=", 1)[1].split("&", 1)[0] for _, body in server.requests]


# == one client each ==============================================================================================


def test_a_client_is_made_once_for_a_connection_a_service_and_a_region() -> None:
    with using(to("http://127.0.0.1:1"), to("http://127.0.0.1:2", name="other")):
        made = [client("ssm"), client("ssm", region="eu-west-1"), client("ssm", effect=Effect.TOKEN)]
        assert made[0] is made[1] is made[2]
        others = [
            client("ssm", region="us-east-2"),
            client("ssm", "other"),
            client("iam"),
            client("ssm", effect=Effect.LOOKUP),
        ]
        assert len({id(one) for one in [made[0], *others]}) == 5


def test_threads_that_ask_at_once_get_the_same_client() -> None:
    found: list[Any] = []
    start = threading.Barrier(8)

    def ask() -> None:
        with using(to("http://127.0.0.1:3")):
            start.wait()
            found.append(client("iam"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(one) for one in found}) == 1


def test_retries_are_standard_and_few_and_every_call_has_its_limits() -> None:
    with using(to("http://127.0.0.1:4", connect_timeout=2, read_timeout=9, proxy="http://127.0.0.1:5", ca_bundle="/x")):
        for effect, attempts in ((Effect.READ, 2), (Effect.TOKEN, 2), (Effect.NATURAL, 2)):
            assert client("ssm", effect=effect).meta.config.retries == {
                "mode": "standard",
                "total_max_attempts": attempts,
            }
        for effect in (Effect.LOOKUP, Effect.CONDITIONAL, Effect.AT_LEAST_ONCE):
            assert client("ssm", effect=effect).meta.config.retries == {"mode": "standard", "total_max_attempts": 1}
        config = client("ssm").meta.config
        assert (config.connect_timeout, config.read_timeout) == (2, 9)
        assert config.proxies == {"http": "http://127.0.0.1:5", "https": "http://127.0.0.1:5"}


@pytest.mark.parametrize(
    ("effect", "times"),
    [(effect, 2 if effect in (Effect.READ, Effect.TOKEN, Effect.NATURAL) else 1) for effect in Effect],
)
def test_botocore_resends_only_what_a_repeat_does_not_hurt(server: Wire, effect: Effect, times: int) -> None:
    server.refuses("ec2", "InternalError", 500)
    with using(to(server.url)), pytest.raises(ConnectorError) as raised:
        aws_call("ec2", "describe_instances", effect=effect)
    assert len(server.requests) == times
    assert type(raised.value) is (Ambiguous if effect is Effect.AT_LEAST_ONCE else Transient)


def test_what_was_throttled_is_not_sent_again_at_once_but_left_to_the_retry_policy(server: Wire) -> None:
    server.refuses("ec2", "RequestLimitExceeded", 503)
    with using(to(server.url)), pytest.raises(Throttled):
        aws_call("ec2", "describe_instances")
    assert len(server.requests) == 1


def test_a_region_is_asked_for_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    nowhere = AwsConnection(access_key_id=Secret("AKIANOWHERE"), secret_access_key=Secret("nowhere-secret"))
    with using(nowhere), pytest.raises(InvalidRequest, match="ec2 needs a region"):
        client("ec2")
    with using(nowhere):
        assert client("iam").meta.region_name in ("us-east-1", "aws-global")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    with using(nowhere):
        assert client("ec2").meta.region_name == "eu-central-1"


def test_half_of_the_credentials_is_refused_without_telling_it() -> None:
    half = AwsConnection(region="eu-west-1", access_key_id=Secret("AKIAHALFOFIT"))
    with using(half), pytest.raises(InvalidRequest, match="only one of") as raised:
        client("ec2")
    assert "AKIAHALFOFIT" not in str(raised.value)


def test_an_untrusted_certificate_is_permanent(tmp_path: Path) -> None:
    import ssl

    from tests.connectors.aws.certificates import self_signed

    certificate = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with wire() as server:
        server.tls(context)
        server.answer = lambda: EMPTY
        url = server.url.replace("http:", "https:")
        with using(to(url, ca_bundle=str(certificate))):
            assert aws_call("ec2", "describe_instances")["Reservations"] == []
        with using(to(url)), pytest.raises(Permanent, match="certificate is not trusted") as raised:
            aws_call("ec2", "describe_instances")
    assert raised.value.code == "SSLError"


def test_a_list_that_never_ends_is_left_after_the_given_pages(server: Wire) -> None:
    body = b"<DescribeInstancesResponse><reservationSet/><nextToken>again</nextToken></DescribeInstancesResponse>"
    server.answer = lambda: Answer(200, body)
    with using(to(server.url)):
        assert len(list(pages("ec2", "describe_instances", most=3))) == 3
    assert len(server.requests) == 3
    assert b"NextToken=again" in server.requests[1][1]


def test_a_connection_comes_from_the_environment_and_a_name_nobody_knows_is_a_profile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = {"REGION": "eu-north-1", "ROLE_ARN": ROLE, "READ_TIMEOUT": "7.5", "EXTERNAL_ID": "between-us-only"}
    for field, value in settings.items():
        monkeypatch.setenv(f"DTF_CONNECTION_AWS_BILLING_{field}", value)
    found = resolve(AwsConnection, "billing")
    assert (found.region, found.role_arn, found.read_timeout) == ("eu-north-1", ROLE, 7.5)
    assert found.external_id == Secret("between-us-only")
    assert "between-us-only" not in repr(found)
    assert resolve(AwsConnection, "nightly").profile == "nightly"
    assert resolve(AwsConnection).profile is None


# == credentials ==================================================================================================


def test_a_role_is_assumed_at_the_first_call_and_signs_the_second_one_too(server: Wire) -> None:
    in_turn(server, role_answer("ASIAFIRST", timedelta(hours=1)), EMPTY)
    with using(to(server.url, role_arn=ROLE, external_id=Secret("what-they-agreed-on"))):
        aws_call("ec2", "describe_instances")
        aws_call("ec2", "describe_instances")
    assert actions(server) == ["AssumeRole", "DescribeInstances", "DescribeInstances"]
    assert [signed_by(request) for request in server.requests] == ["AKIAOFTHEWIRETEST", "ASIAFIRST", "ASIAFIRST"]
    assert b"ExternalId=what-they-agreed-on" in server.requests[0][1]


def test_a_role_is_assumed_again_before_its_session_ends(server: Wire) -> None:
    sessions = [role_answer("ASIAONE", timedelta(seconds=30)), role_answer("ASIATWO", timedelta(hours=1))]
    server.answer = lambda: sessions.pop(0) if actions(server)[-1] == "AssumeRole" else EMPTY
    with using(to(server.url, role_arn=ROLE)):
        aws_call("ec2", "describe_instances")
        aws_call("ec2", "describe_instances")
    assert actions(server).count("AssumeRole") == 2
    assert signed_by(server.requests[-1]) == "ASIATWO"


def test_a_role_that_may_not_be_assumed_says_so_and_nothing_else_was_sent(server: Wire) -> None:
    server.refuses("iam", "AccessDenied", 403, "not you")
    with (
        using(to(server.url, role_arn=ROLE)),
        pytest.raises(AuthenticationFailed, match="was not sent: sts:AssumeRole"),
    ):
        aws_call("ec2", "run_instances", {"MinCount": 1, "MaxCount": 1}, effect=Effect.TOKEN)
    assert set(actions(server)) == {"AssumeRole"}


def test_a_role_that_can_not_be_assumed_now_is_transient_even_where_a_repeat_is_not_safe(server: Wire) -> None:
    server.refuses("iam", "ServiceUnavailable", 503)
    with using(to(server.url, role_arn=ROLE)), pytest.raises(Transient):
        aws_call("ec2", "reboot_instances", {"InstanceIds": ["i-1"]}, effect=Effect.AT_LEAST_ONCE)


def test_credentials_that_aws_calls_expired_are_read_anew_once(
    server: Wire, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "credentials"
    file.write_text("[nightly]\naws_access_key_id = AKIAOLDONE\naws_secret_access_key = old-secret-value\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    in_turn(server, EMPTY, error("ec2", "ExpiredToken", 400, "expired"), EMPTY)
    with using(to(server.url, access_key_id=None, secret_access_key=None, profile="nightly")):
        aws_call("ec2", "describe_instances")
        file.write_text("[nightly]\naws_access_key_id = AKIANEWONE\naws_secret_access_key = new-secret-value\n")
        aws_call("ec2", "describe_instances")
    assert [signed_by(request) for request in server.requests] == ["AKIAOLDONE", "AKIAOLDONE", "AKIANEWONE"]


def test_fixed_credentials_that_expired_are_not_tried_again(server: Wire) -> None:
    server.refuses("ec2", "ExpiredToken", 400)
    with using(to(server.url)), pytest.raises(AuthenticationFailed):
        aws_call("ec2", "describe_instances")
    assert len(server.requests) == 1


def test_credentials_that_stay_expired_end_after_the_second_try(server: Wire) -> None:
    in_turn(
        server,
        role_answer("ASIAA", timedelta(hours=1)),
        error("ec2", "ExpiredToken", 400, ""),
        role_answer("ASIAB", timedelta(hours=1)),
        error("ec2", "ExpiredToken", 400, ""),
    )
    with using(to(server.url, role_arn=ROLE)), pytest.raises(AuthenticationFailed):
        aws_call("ec2", "describe_instances")
    assert actions(server) == ["AssumeRole", "DescribeInstances"] * 2


# == secrets ======================================================================================================


class Everything(logging.Handler):
    """What any handler of a user's would write, tracebacks too."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(logging.Formatter("%(name)s %(message)s").format(record))


@contextlib.contextmanager
def listening() -> Iterator[Everything]:
    handler, root = Everything(), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield handler
    finally:
        root.removeHandler(handler)
        root.setLevel(before)


def test_nothing_that_botocore_logs_holds_a_credential(server: Wire) -> None:
    in_turn(server, role_answer("ASIALOGGED", timedelta(hours=1)), EMPTY, error("ec2", "AuthFailure", 401, "no"))
    with listening() as handler, using(to(server.url, role_arn=ROLE, external_id=Secret("agreed-on-in-secret"))):
        aws_call("ec2", "describe_instances")
        with pytest.raises(AuthenticationFailed):
            aws_call("ec2", "describe_instances")
    written = "\n".join(handler.lines)
    assert "botocore" in written  # it did log
    secrets = ("the-wire-tests-own-key", "secret-of-ASIALOGGED", SESSION_TOKEN, "agreed-on-in-secret", "Signature=")
    assert [secret for secret in secrets if secret in written] == []


def test_what_is_fetched_from_the_parameter_store_is_not_logged_either(server: Wire) -> None:
    from connectors.aws.ssm import ParameterReference, parameter_value

    body = b'{"Parameter": {"Name": "/db", "Type": "SecureString", "Value": "swordfish-of-the-db", "Version": 1}}'
    server.answer = lambda: Answer(200, body, {"content-type": "application/x-amz-json-1.1"})
    with listening() as handler, using(to(server.url)):
        found = parameter_value(ParameterReference(name="/db"))
    assert found.reveal() == "swordfish-of-the-db"
    assert "swordfish" not in "\n".join(handler.lines)


def test_credentials_of_the_chain_are_masked_once_they_sign(server: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOFTHECHAIN")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-chains-very-own-secret")
    server.answer = lambda: EMPTY
    with using(to(server.url, access_key_id=None, secret_access_key=None)):
        aws_call("ec2", "describe_instances")
    assert signed_by(server.requests[0]) == "AKIAOFTHECHAIN"
    assert redactor.text("it is the-chains-very-own-secret") == "it is ***"


def test_importing_the_connector_loads_no_sdk() -> None:
    program = (
        "import sys, connectors.aws, connectors.aws.client, connectors.aws.ec2, connectors.aws.waits\n"
        "print({'boto3', 'botocore', 'httpx', 'moto', 'tenacity', 'urllib3'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("set()\n", "")
