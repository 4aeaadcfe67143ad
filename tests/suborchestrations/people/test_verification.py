"""`phone_verification`: right, wrong, too often, too late, once more, and a Twilio that is away."""

from pathlib import Path
from typing import Any

import pytest

from connectors.core import InvalidRequest
from connectors.twilio.testing import SERVICE
from dtf_runtime import OrchestrationFailedError
from dtf_runtime.testing import replay
from suborchestrations.people import CODE, RESEND, VerificationSpec, phone_verification
from tests.suborchestrations.people.stage import ANN, ID, WAIT, Stage, staged


def spec(**changes: Any) -> VerificationSpec:
    return VerificationSpec(**({"number": ANN, "service_sid": SERVICE} | changes))


async def begun(stage: Stage, **changes: Any) -> Any:
    handle = await stage.start(phone_verification, spec(**changes))
    await stage.minutes(0.1)
    return handle


def wrong(stage: Stage) -> str:
    return f"{(int(stage.twilio.code_for(ANN)) + 1) % 1_000_000:06}"


async def test_the_right_code_verifies(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        handle = await begun(stage)
        assert await stage.board() == {"send": ("done", ""), "code": ("running", "3 attempts left")}
        await stage.event(CODE, f" {stage.twilio.code_for(ANN)} ")
        outcome = await handle.result(WAIT)
        assert (outcome.state, outcome.verified, outcome.attempts, outcome.sends) == ("verified", True, 1, 1)
        assert stage.twilio.verifications[0].status == "approved"
        assert (await stage.board())["code"] == ("done", "")


async def test_the_attempts_are_counted_and_then_the_right_one_comes_too_late(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        handle = await begun(stage)
        await stage.event(CODE, wrong(stage))
        assert (await stage.board())["code"] == ("running", "wrong, 2 attempts left")
        await stage.event(CODE, "it is 1234")
        await stage.event(CODE, wrong(stage))
        await stage.event(CODE, stage.twilio.code_for(ANN))
        outcome = await handle.result(WAIT)
        assert (outcome.state, outcome.attempts) == ("wrong", 3)
        (verification,) = stage.twilio.verifications
        assert (verification.status, verification.checks) == ("pending", 2), "what is no code is not sent to Twilio"


@pytest.mark.parametrize("typed", [123456, None, {"code": "123456"}, "", "12345678901"])
async def test_what_is_no_code_is_a_wrong_one(tmp_path: Path, typed: Any) -> None:
    async with staged(tmp_path) as stage:
        handle = await begun(stage, attempts=1)
        await stage.event(CODE, typed)
        assert (await handle.result(WAIT)).state == "wrong"
        assert stage.twilio.verifications[0].checks == 0


async def test_nobody_typing_anything_ends_at_the_deadline(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        start = stage.hub.now()
        outcome = await (await begun(stage)).result(WAIT)
        assert (outcome.state, outcome.attempts, outcome.sends) == ("expired", 0, 1)
        assert (stage.hub.now() - start).total_seconds() == pytest.approx(600, abs=5)
        assert [asked.method for asked in stage.twilio.requests] == ["POST"], "as planned"


async def test_it_is_sent_again_when_asked_as_often_as_allowed(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        handle = await begun(stage, resends=2)
        for _ in range(4):
            await stage.minutes(1)
            await stage.event(RESEND, None)
        await stage.minutes(0.5)
        (verification,) = stage.twilio.verifications
        assert len(verification.sends) == 3
        assert (await stage.board())["send"] == ("done", "no more resends")
        await stage.event(CODE, verification.code)
        outcome = await handle.result(WAIT)
        assert (outcome.state, outcome.sends) == ("verified", 3)
        replay(phone_verification, await stage.hub.client.get_history(ID))


async def test_a_code_that_has_expired_is_told_and_a_new_one_verifies(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        handle = await begun(stage, deadline=3600.0)
        old = stage.twilio.code_for(ANN)
        await stage.minutes(15)
        await stage.event(CODE, old)
        assert (await stage.board())["code"] == ("running", "the code has expired, 2 attempts left")
        await stage.event(RESEND, None)
        await stage.minutes(0.5)
        assert len(stage.twilio.verifications) == 2
        await stage.event(CODE, stage.twilio.code_for(ANN))
        assert (await handle.result(WAIT)).state == "verified"


async def test_twilios_own_limits_of_checks_and_sends_are_no_failure(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        handle = await begun(stage, attempts=7, resends=6)
        for _ in range(6):
            await stage.event(RESEND, None)
            await stage.minutes(0.1)
        assert (await stage.board())["send"] == ("failed", "not again: Permanent 60203")
        for _ in range(6):
            await stage.event(CODE, wrong(stage))
        assert (await stage.board())["code"] == ("running", "checked too often, 1 attempts left")
        assert (await handle.result(WAIT)).state == "expired"


@pytest.mark.parametrize(("code", "reason"), [(60205, "Permanent 60205"), (60410, "Permanent 60410")])
async def test_a_number_that_gets_no_code_is_refused_with_the_reason(tmp_path: Path, code: int, reason: str) -> None:
    async with staged(tmp_path) as stage:
        stage.twilio.fail(code)
        outcome = await (await stage.start(phone_verification, spec())).result(WAIT)
        assert (outcome.state, outcome.reason, outcome.sends) == ("refused", reason, 0)


async def test_an_outage_while_sending_delays_and_sends_once(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.twilio.faults.outage = True
        handle = await stage.start(phone_verification, spec(deadline=7200.0))
        await stage.minutes(40)
        stage.twilio.faults.outage = False
        await stage.minutes(10)
        await stage.event(CODE, stage.twilio.code_for(ANN))
        assert (await handle.result(WAIT)).state == "verified"
        assert len(stage.twilio.verifications[0].sends) == 1


async def test_an_outage_longer_than_the_deadline_expires(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.twilio.faults.outage = True
        outcome = await (await stage.start(phone_verification, spec())).result(WAIT)
        assert (outcome.state, outcome.sends) == ("expired", 0)


async def test_a_code_typed_in_time_is_checked_after_an_outage_that_passes_the_deadline(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        handle = await begun(stage, deadline=300.0)
        await stage.minutes(4)
        stage.twilio.faults.outage = True
        await stage.event(CODE, stage.twilio.code_for(ANN))
        await stage.minutes(4)
        stage.twilio.faults.outage = False
        assert (await handle.result(WAIT)).state == "verified"


async def test_wrong_credentials_fail_the_run(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.twilio.fail(20003)
        with pytest.raises(OrchestrationFailedError) as caught:
            await (await stage.start(phone_verification, spec())).result(WAIT)
        assert caught.value.failure.is_caused_by("AuthenticationFailed")


async def test_a_plan_sends_nothing(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        outcome = await (await stage.start(phone_verification, spec(plan=True))).result(WAIT)
        assert [(call.activity, call.input["to"]) for call in outcome.planned] == [("twilio.start_verification", ANN)]
        assert (outcome.state, stage.twilio.requests) == ("planned", [])


async def test_the_board_shows_neither_the_number_nor_the_code(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        handle = await begun(stage)
        await stage.event(CODE, stage.twilio.code_for(ANN))
        await handle.result(WAIT)
        shown = str((await stage.hub.client.handle(ID).state()).custom_status)
        assert ANN not in shown and stage.twilio.code_for(ANN) not in shown


@pytest.mark.parametrize(
    "changes", [{"number": ""}, {"service_sid": ""}, {"attempts": 0}, {"resends": -1}, {"deadline": 0.0}]
)
async def test_a_spec_that_cant_be_right_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    async with staged(tmp_path) as stage:
        with pytest.raises(OrchestrationFailedError) as caught:
            await (await stage.start(phone_verification, spec(**changes))).result(WAIT)
        assert caught.value.failure.is_caused_by(InvalidRequest)
        assert stage.twilio.requests == []
