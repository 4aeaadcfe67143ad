"""`notify_with_escalation`: a text, a call, the next one; heard however it comes; opt-outs passed over; an outage delays."""

from pathlib import Path
from typing import Any

import pytest

from connectors.core import InvalidRequest
from connectors.twilio import INBOUND_CALL, INBOUND_MESSAGE
from connectors.twilio.testing import SENDER
from connectors.twilio.testing.world import Thing
from dtf_runtime import OrchestrationCancelledError, OrchestrationFailedError
from dtf_runtime.testing import replay
from suborchestrations.people import ACKNOWLEDGE, Contact, EscalationOutcome, EscalationSpec, notify_with_escalation
from tests.suborchestrations.people.stage import ANN, BEN, CLEO, HOUR, ID, WAIT, Stage, staged

NAMES = {ANN: "ann", BEN: "ben", CLEO: "cleo"}
PEOPLE = [Contact(name=name, number=number) for number, name in NAMES.items()]
ALL = [(name, channel) for name in NAMES.values() for channel in ("text", "call")]


def spec(**changes: Any) -> EscalationSpec:
    return EscalationSpec(**({"message": "The shop is down.", "contacts": PEOPLE} | changes))


def out(stage: Stage) -> list[tuple[str, str]]:
    """What Twilio has sent, in order."""
    things: list[Thing] = sorted([*stage.twilio.messages, *stage.twilio.calls], key=lambda one: one.created)
    return [(NAMES[one.to], "text" if one.sid.startswith("SM") else "call") for one in things]


def told(outcome: EscalationOutcome) -> list[tuple[str, str]]:
    return [(one.name, one.channel) for one in outcome.told]


async def test_a_text_back_ends_it_before_anybody_else_is_woken(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        handle = await stage.start(notify_with_escalation, spec())
        await stage.minutes(3)
        assert stage.texts(ANN) == ["The shop is down. Answer OK to take it."]
        assert await stage.replies(ANN, " ok, on my way") == 200
        outcome = await handle.result(WAIT)
        assert (outcome.state, outcome.by, outcome.how) == ("acknowledged", "ann", "text")
        await stage.minutes(600)
        assert out(stage) == told(outcome) == [("ann", "text")]
        assert await stage.board() == {
            "ann": ("done", "acknowledged by text"),
            "ben": ("skipped", ""),
            "cleo": ("skipped", ""),
        }


async def test_silence_goes_from_text_to_call_to_the_next(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        handle = await stage.start(notify_with_escalation, spec(wait_after_text=600, wait_after_call=1200))
        seen = []
        for minute in (9, 2, 18, 2):
            await stage.minutes(minute)
            seen.append(len(out(stage)))
        assert seen == [1, 2, 2, 3]
        await stage.replies(BEN, "OK")
        outcome = await handle.result(WAIT)
        assert (outcome.by, told(outcome)) == ("ben", ALL[:3])
        replay(notify_with_escalation, await stage.hub.client.get_history(ID))
        assert (await stage.board())["ann"] == ("failed", "did not answer")


async def test_nobody_answering_is_an_outcome_after_all_rounds(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        outcome = await (await stage.start(notify_with_escalation, spec(rounds=2))).result(WAIT)
        assert (outcome.state, outcome.by, outcome.how) == ("nobody", "", "")
        assert out(stage) == told(outcome) == ALL * 2
        assert {one.asked["Twiml"][0] for one in stage.twilio.calls} == {
            "<Response><Say>The shop is down.</Say></Response>"
        }


async def test_the_deadline_ends_it_in_the_middle(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        begun = stage.hub.now()
        outcome = await (await stage.start(notify_with_escalation, spec(deadline=700))).result(WAIT)
        assert (outcome.state, told(outcome)) == ("expired", ALL[:3])
        assert (stage.hub.now() - begun).total_seconds() == pytest.approx(700, abs=5)


async def test_who_was_told_earlier_may_take_it_late(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        handle = await stage.start(notify_with_escalation, spec())
        await stage.minutes(12)
        assert out(stage)[-1] == ("ben", "text")
        await stage.replies(ANN, "yes!")
        assert ((await handle.result(WAIT)).by, out(stage)) == ("ann", ALL[:3])


async def test_the_first_of_two_acknowledgements_counts_and_one_after_the_end_changes_nothing(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        handle = await stage.start(notify_with_escalation, spec())
        await stage.minutes(12)
        await stage.replies(BEN, "ack")
        await stage.replies(ANN, "ack")
        await stage.event(ACKNOWLEDGE, {"by": "cleo"})
        assert (await handle.result(WAIT)).by == "ben"


async def test_other_texts_other_people_and_odd_events_acknowledge_nothing(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        handle = await stage.start(notify_with_escalation, spec())
        await stage.minutes(1)
        await stage.replies(ANN, "who is this?")
        await stage.replies(ANN, "okra")
        await stage.replies(ANN, "")
        await stage.replies("+15559999999", "OK")
        await stage.event(ACKNOWLEDGE, "me")
        await stage.event(INBOUND_MESSAGE, {"body": "OK"})
        outcome = await handle.result(WAIT)
        assert (outcome.state, told(outcome)) == ("nobody", ALL)


async def test_an_event_from_elsewhere_acknowledges(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        handle = await stage.start(notify_with_escalation, spec())
        await stage.minutes(1)
        await stage.event(ACKNOWLEDGE, {"by": "the night shift"})
        outcome = await handle.result(WAIT)
        assert (outcome.by, outcome.how) == ("the night shift", "event")


@pytest.mark.parametrize(("digit", "state"), [("1", "acknowledged"), ("2", "nobody"), ("", "nobody")])
async def test_the_right_key_in_the_call_acknowledges(tmp_path: Path, digit: str, state: str) -> None:
    async with staged(tmp_path) as stage:
        url = "https://hooks.example.com/twilio/voice?a=1&b=2"
        handle = await stage.start(notify_with_escalation, spec(digits_url=url, message="Disk < 1 %"))
        await stage.minutes(6)
        (call,) = stage.twilio.calls
        assert call.asked["Twiml"] == [
            '<Response><Gather numDigits="1" action="https://hooks.example.com/twilio/voice?a=1&amp;b=2">'
            "<Say>Disk &lt; 1 % Press 1 to take it.</Say></Gather></Response>"
        ]
        pressed = {"sid": call.sid, "from": SENDER, "to": ANN, "status": "in-progress", "digits": digit}
        await stage.event(INBOUND_CALL, pressed)
        outcome = await handle.result(WAIT)
        assert (outcome.state, outcome.how) == (state, "call" if digit == "1" else "")


async def test_who_calls_back_and_presses_the_key_has_it(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        handle = await stage.start(notify_with_escalation, spec())
        await stage.minutes(1)
        back = {"sid": "CA1", "from": ANN, "to": SENDER, "status": "in-progress", "digits": "1"}
        await stage.event(INBOUND_CALL, back)
        outcome = await handle.result(WAIT)
        assert (outcome.by, outcome.how) == ("ann", "call")


async def test_who_has_opted_out_is_passed_over_at_once_and_not_called(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.twilio.opt_out(ANN, SENDER)
        begun = stage.hub.now()
        handle = await stage.start(notify_with_escalation, spec())
        await stage.minutes(1)
        assert out(stage) == [("ben", "text")]
        outcome = await handle.result(WAIT)
        assert (outcome.skipped, told(outcome)) == (["ann"], ALL[2:])
        assert (stage.hub.now() - begun).total_seconds() < 1300


async def test_stop_is_the_end_for_that_contact_now_or_before_their_turn(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        handle = await stage.start(notify_with_escalation, spec())
        await stage.minutes(1)
        await stage.replies(BEN, "STOP", OptOutType="STOP")
        await stage.replies(ANN, "STOP", OptOutType="STOP")
        await stage.minutes(1)
        assert out(stage) == [("ann", "text"), ("cleo", "text")]
        outcome = await handle.result(WAIT)
        assert outcome.skipped == ["ann", "ben"]
        assert (await stage.board())["ben"] == ("skipped", "has opted out")


async def test_a_number_that_is_none_costs_no_waiting(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        people = [Contact(name="typo", number="+1"), PEOPLE[0]]
        handle = await stage.start(notify_with_escalation, spec(contacts=people))
        await stage.minutes(1)
        assert out(stage) == [("ann", "text")]
        assert (await stage.board())["typo"] == ("failed", "can't be reached: Permanent 21211")
        assert (await handle.result(WAIT)).skipped == ["typo"]


async def test_a_text_that_is_refused_for_the_landline_is_followed_by_the_call(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.twilio.fail(21614)
        handle = await stage.start(notify_with_escalation, spec(contacts=PEOPLE[:1]))
        await stage.minutes(1)
        assert out(stage) == [("ann", "call")]
        assert (await handle.result(WAIT)).skipped == []


async def test_an_outage_in_the_middle_delays_and_skips_nobody(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        handle = await stage.start(notify_with_escalation, spec())
        await stage.minutes(4)
        stage.twilio.faults.outage = True
        await stage.minutes(120)
        assert out(stage) == ALL[:1]
        stage.twilio.faults.outage = False
        outcome = await handle.result(WAIT)
        assert (outcome.state, outcome.skipped) == ("nobody", [])
        assert out(stage) == told(outcome) == ALL
        waited = (outcome.told[1].at - outcome.told[0].at).total_seconds()
        assert 2 * HOUR < waited < 2.2 * HOUR


async def test_an_acknowledgement_during_the_outage_ends_it(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        handle = await stage.start(notify_with_escalation, spec())
        await stage.minutes(4)
        stage.twilio.faults.outage = True
        await stage.minutes(30)
        await stage.event(ACKNOWLEDGE, {"by": "ann"})
        outcome = await handle.result(WAIT)
        stage.twilio.faults.outage = False
        await stage.minutes(60)
        assert (outcome.by, out(stage)) == ("ann", ALL[:1])


async def test_wrong_credentials_fail_the_run_instead_of_running_through_the_list(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.twilio.fail(20003)
        with pytest.raises(OrchestrationFailedError) as caught:
            await (await stage.start(notify_with_escalation, spec())).result(WAIT)
        assert caught.value.failure.is_caused_by("AuthenticationFailed")
        assert out(stage) == []


async def test_a_plan_sends_nothing_and_is_what_goes_out_when_nobody_answers(tmp_path: Path) -> None:
    wanted = {"rounds": 2, "deadline": 2000.0}
    async with staged(tmp_path) as stage:
        outcome = await (await stage.start(notify_with_escalation, spec(plan=True, **wanted))).result(WAIT)
        assert (outcome.state, stage.twilio.requests) == ("planned", [])
        kinds = {"twilio.send_message": "text", "twilio.make_call": "call"}
        planned = [(NAMES[call.input["to"]], kinds[call.activity]) for call in outcome.planned]
        assert len(planned) == 7
    (tmp_path / "real").mkdir()
    async with staged(tmp_path / "real") as stage:
        real = await (await stage.start(notify_with_escalation, spec(**wanted))).result(WAIT)
        assert out(stage) == told(real) == planned


async def test_a_cancel_ends_it(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        handle = await stage.start(notify_with_escalation, spec())
        await stage.minutes(1)
        await stage.hub.client.cancel(ID)
        with pytest.raises(OrchestrationCancelledError):
            await handle.result(WAIT)
        await stage.minutes(600)
        assert out(stage) == ALL[:1]


@pytest.mark.parametrize(
    "changes",
    [
        {"message": ""},
        {"contacts": []},
        {"contacts": [PEOPLE[0], PEOPLE[0]]},
        {"contacts": [Contact(name="ann", number=ANN, channels=[])]},
        {"rounds": 0},
        {"wait_after_text": 0.0},
        {"deadline": 0.0},
    ],
)
async def test_a_spec_that_cant_be_right_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    async with staged(tmp_path) as stage:
        with pytest.raises(OrchestrationFailedError) as caught:
            await (await stage.start(notify_with_escalation, spec(**changes))).result(WAIT)
        assert caught.value.failure.is_caused_by(InvalidRequest)
        assert stage.twilio.requests == []
