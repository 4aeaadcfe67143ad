"""The kit's checks: what the connector says of itself, every call delivered twice, no secret anywhere, no SDK at import."""

import dataclasses
import logging
from pathlib import Path
from typing import Any

import pytest

import connectors.twilio
from connectors.core import Secret, using
from connectors.core.testing import (
    Planted,
    Run,
    Sample,
    check_connector,
    check_imports,
    error_table,
    planted,
    secret_scan,
)
from connectors.core.testing.error_tables import table_findings
from connectors.core.testing.imports import SDKS
from connectors.twilio import (
    CONNECTOR,
    CallSid,
    CheckVerification,
    LookupNumber,
    MakeCall,
    MessageSid,
    OptedOut,
    SendMessage,
    SentMessage,
    StartVerification,
    TwilioConnection,
    cancel_message,
    check_verification,
    get_call,
    get_message,
    hang_up,
    lookup_number,
    make_call,
    redact_message,
    send_message,
    start_verification,
)
from connectors.twilio.testing import SENDER, SERVICE, Cut, FakeTwilio
from dtf_runtime import (
    OrchestrationContext,
    Registry,
    TaskFailedError,
    TaskHubClient,
    TaskHubWorker,
    connect,
    orchestration,
)
from dtf_runtime.plugins import load_connector

TO = "+15551234567"


async def test_every_call_conforms_and_delivered_twice_it_happens_once(twilio: FakeTwilio) -> None:
    one = twilio.world.send(TO, SENDER, "", "earlier")
    call = twilio.world.call(TO, SENDER)
    twilio.world.ends[TO] = ("delivered", None)
    verification = twilio.world
    service = "MG" + "0" * 32
    later = twilio.world.send(TO, "", service, "later", ahead=[(twilio.world.clock.now().replace(year=2099), "queued")])
    checked: list[str] = []

    def code() -> CheckVerification:
        return CheckVerification(service_sid=SERVICE, verification_sid=checked[0], code=twilio.code_for("+15550000001"))

    with using(twilio.connection()):
        checked.append((await start_verification(StartVerification(service_sid=SERVICE, to="+15550000001"))).sid)
    samples = [
        Sample(activity=send_message, call=SendMessage(to=TO, body="hi"), made=lambda: len(twilio.messages)),
        Sample(activity=make_call, call=MakeCall(to=TO, twiml="<Response/>"), made=lambda: len(twilio.calls)),
        Sample(activity=get_message, call=MessageSid(sid=one.sid), made=lambda: len(twilio.messages)),
        Sample(activity=get_call, call=CallSid(sid=call.sid), made=lambda: len(twilio.calls)),
        Sample(activity=redact_message, call=MessageSid(sid=one.sid), made=lambda: int(not one.body)),
        Sample(activity=cancel_message, call=MessageSid(sid=later.sid), made=lambda: int(later.status == "canceled")),
        Sample(activity=hang_up, call=CallSid(sid=call.sid), made=lambda: int(call.status == "completed")),
        Sample(activity=lookup_number, call=LookupNumber(number=TO), made=lambda: 0),
        Sample(
            activity=start_verification,
            call=StartVerification(service_sid=SERVICE, to=TO),
            made=lambda: sum(len(each.sends) for each in verification.verifications.values()),
        ),
        Sample(
            activity=check_verification,
            call=code(),
            made=lambda: sum(each.checks for each in twilio.verifications),
            afresh=False,
        ),
    ]
    await check_connector(CONNECTOR, samples=samples, connections=[twilio.connection()])


def test_its_error_tables_say_nothing_that_cant_be() -> None:
    rows = error_table(Path(connectors.twilio.__file__).parent / "README.md")
    assert table_findings(rows, {"OptedOut": OptedOut}) == []


def test_importing_it_loads_no_sdk_and_it_is_found_by_name() -> None:
    assert load_connector("twilio") is CONNECTOR
    for module in ("connectors.twilio", "connectors.twilio.webhooks", "connectors.twilio.testing"):
        assert check_imports(module, (*SDKS, "requests")) == []


def test_the_readme_lists_every_activity_and_orchestration() -> None:
    readme = (Path(connectors.twilio.__file__).parent / "README.md").read_text()
    names = [each.name for each in CONNECTOR.activities] + [each.name for each in CONNECTOR.orchestrations]
    assert [name for name in names if f"| `{name}` |" not in readme] == []


# -- Secrets ----------------------------------------------------------------------------------------------------------

registry = Registry(send_message, start_verification)


@orchestration(registry=registry)
async def everything(ctx: OrchestrationContext) -> list[SentMessage]:
    sent = [await send_message(SendMessage(to=TO, body="a text that is private")) for _ in range(2)]
    for to in ("+1", "+15559999999"):
        try:
            await send_message(SendMessage(to=to, body="a text that is private", on_ambiguous="fail"))
        except TaskFailedError as error:
            ctx.logger.warning("failed: %s", error)
    await start_verification(StartVerification(service_sid=SERVICE, to=TO))
    return sent


@pytest.fixture
def with_canary() -> Any:
    found = planted(TwilioConnection, account_sid="AC" + "2" * 32)
    with FakeTwilio(account_sid="AC" + "2" * 32, auth_token=found.canaries["auth_token"]) as fake:
        yield fake, found


async def test_no_secret_is_written_anywhere_the_sdks_own_loggers_at_debug_included(with_canary: Any) -> None:
    twilio, found = with_canary
    connection = twilio.connection(
        read_timeout=0.5,
        api_secret=found.connection.api_secret,
        signing_secret=found.connection.signing_secret,
        ledger=None,
    )
    logged: list[str] = []

    async def exercise(run: Run) -> None:
        service = connect(run.hub)
        ours = dataclasses.replace(connection, ledger=run.folder / "ledger.db")
        twilio.fail(Cut.NO_REPLY)
        twilio.opt_out("+15559999999", SENDER)
        async with TaskHubWorker(service, registry=registry, connections=[ours]), TaskHubClient(service) as client:
            await (await client.start(everything)).result(30)
        logged.append("ran")

    assert await secret_scan(Planted(connection, found.canaries), exercise) == []
    assert logged == ["ran"]
    assert len(twilio.messages) == 2


async def test_the_scan_sees_what_the_sdk_would_write(with_canary: Any) -> None:
    """The control: the same scan finds the token where a program writes it."""
    _, found = with_canary

    async def exercise(run: Run) -> None:
        (run.folder / "notes.txt").write_text(f"token: {found.canaries['auth_token']}")

    assert {leak.field for leak in await secret_scan(found, exercise)} == {"auth_token"}


async def test_no_number_and_no_text_is_in_a_log_of_the_sdk(
    twilio: FakeTwilio, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with using(twilio.connection(auth_token=Secret(twilio.auth_token))):
        await send_message(SendMessage(to=TO, body="a text that is private"))
        await lookup_number(LookupNumber(number=TO))
    written = [record for record in caplog.records if record.name.startswith(("twilio", "urllib3", "requests"))]
    assert len(written) > 5
    for record in written:
        assert "5551234567" not in record.getMessage()
        assert "private" not in record.getMessage()
        assert twilio.account_sid not in record.getMessage()
