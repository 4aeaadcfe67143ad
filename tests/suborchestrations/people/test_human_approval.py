"""`human_approval`: links good for one answer, over virtual days: enough, too few, twice, late, nobody, opted out, an outage."""

from pathlib import Path
from typing import Any

import pytest

from connectors.core import InvalidRequest
from connectors.twilio.testing import SENDER, Cut
from dtf_runtime import (
    NonRetriableError,
    OrchestrationCancelledError,
    OrchestrationFailedError,
    Registry,
    activity,
)
from dtf_runtime.testing import replay
from suborchestrations.people import (
    ANSWER,
    ApprovalOutcome,
    ApprovalRequest,
    ApprovalSpec,
    Approver,
    human_approval,
)
from tests.suborchestrations.people.stage import ANN, BEN, CLEO, DAY, ID, WAIT, staged

PEOPLE = [Approver(name="ann", to=ANN), Approver(name="ben", to=BEN), Approver(name="cleo", to=CLEO)]


def spec(**changes: Any) -> ApprovalSpec:
    return ApprovalSpec(**({"question": "A new roof for 9,000 EUR?", "approvers": PEOPLE} | changes))


def counted(outcome: ApprovalOutcome) -> list[tuple[str, bool]]:
    return [(one.by, one.approved) for one in outcome.answers]


async def test_the_quorum_decides_and_nobody_hears_of_it_again(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        handle = await stage.start(human_approval, spec(quorum=2))
        await stage.days(0.5)
        assert (await stage.opens(stage.link(ANN, "Approve"))).status_code == 200
        assert (await stage.board())["ann"] == ("done", "approved")
        await stage.days(1)
        await stage.opens(stage.link(CLEO, "Approve"))
        outcome = await handle.result(WAIT)
        assert (outcome.decision, outcome.approved, outcome.ignored) == ("approved", True, 0)
        assert counted(outcome) == [("ann", True), ("cleo", True)]
        replay(human_approval, await stage.hub.client.get_history(ID))
        await stage.days(10)
        assert [len(stage.texts(number)) for number in (ANN, BEN, CLEO)] == [1, 2, 2]
        assert (await stage.board())["ben"][0] == "skipped"


async def test_opening_a_link_answers_nothing_its_button_does(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        await stage.start(human_approval, spec())
        await stage.days(0.1)
        page = await stage.opens(stage.link(ANN, "Approve"), presses=False)
        assert (page.status_code, "Approve: A new roof for 9,000 EUR?" in page.text) == (200, True)
        assert (await stage.board())["ann"] == ("running", "asked")


async def test_one_rejection_is_a_veto(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        handle = await stage.start(human_approval, spec(quorum=2))
        await stage.days(0.1)
        await stage.opens(stage.link(ANN, "Approve"))
        await stage.opens(stage.link(BEN, "Reject"))
        assert counted(outcome := await handle.result(WAIT)) == [("ann", True), ("ben", False)]
        assert outcome.decision == "rejected"


async def test_without_a_veto_it_goes_on_until_the_quorum_is_out_of_reach(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        handle = await stage.start(human_approval, spec(quorum=2, veto=False))
        await stage.days(0.1)
        await stage.opens(stage.link(ANN, "Reject"))
        assert (await stage.board())["ben"][0] == "running"
        await stage.opens(stage.link(BEN, "Reject"))
        assert (await handle.result(WAIT)).decision == "rejected"


async def test_the_first_answer_of_a_person_counts(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        handle = await stage.start(human_approval, spec(quorum=2))
        await stage.days(0.1)
        yes, no = stage.link(ANN, "Approve"), stage.link(ANN, "Reject")
        told = [(await stage.opens(link)).status_code for link in (yes, yes, no)]
        assert told == [200, 200, 410], "a repeat is noted already, the other answer comes too late"
        await stage.event(ANSWER, {"by": "ann", "approved": False})
        await stage.event(ANSWER, {"by": "dora", "approved": True})
        await stage.event(ANSWER, "yes!")
        await stage.event(ANSWER, {"by": "ben", "approved": True})
        outcome = await handle.result(WAIT)
        assert (outcome.decision, outcome.ignored) == ("approved", 3)
        assert counted(outcome) == [("ann", True), ("ben", True)]


async def test_nobody_answering_ends_it_after_the_reminders_and_then_the_links_are_over(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        begun = stage.hub.now()
        outcome = await (await stage.start(human_approval, spec(reminders=3))).result(WAIT)
        assert (outcome.decision, outcome.answers) == ("expired", [])
        assert (stage.hub.now() - begun).total_seconds() == pytest.approx(7 * DAY, abs=60)
        for number in (ANN, BEN, CLEO):
            texts = stage.texts(number)
            assert [text.startswith("Reminder: ") for text in texts] == [False, True, True, True]
            assert len({text.removeprefix("Reminder: ") for text in texts}) == 1, "the links stay the same"
        late = await stage.opens(stage.link(ANN, "Approve"))
        assert (late.status_code, "expired" in late.text) == (410, True)


async def test_an_answer_after_the_decision_changes_nothing(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        handle = await stage.start(human_approval, spec())
        await stage.days(0.1)
        await stage.opens(stage.link(ANN, "Approve"))
        await stage.opens(stage.link(BEN, "Reject"))
        outcome = await handle.result(WAIT)
        assert (outcome.decision, counted(outcome)) == ("approved", [("ann", True)])


async def test_the_links_of_a_run_answer_no_later_run_of_the_same_id(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        handle = await stage.start(human_approval, spec())
        await stage.days(0.1)
        old = stage.link(BEN, "Approve")
        await stage.opens(stage.link(ANN, "Reject"))
        assert (await handle.result(WAIT)).decision == "rejected"
        again = await stage.hub.client.restart(ID)
        await stage.days(0.1)
        await stage.opens(old)
        assert (await stage.board())["ben"] == ("running", "asked")
        assert (await again.result(WAIT))["decision"] == "expired"


async def test_who_has_opted_out_is_left_out_as_long_as_the_others_are_enough(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.twilio.opt_out(BEN, SENDER)
        handle = await stage.start(human_approval, spec(quorum=2))
        await stage.days(0.1)
        assert (await stage.board())["ben"] == ("failed", "has opted out")
        await stage.opens(stage.link(ANN, "Approve"))
        await stage.opens(stage.link(CLEO, "Approve"))
        outcome = await handle.result(WAIT)
        assert (outcome.decision, outcome.unreached) == ("approved", ["ben"])


async def test_with_too_few_who_can_be_asked_it_ends_at_once(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.twilio.opt_out(BEN, SENDER)
        people = [PEOPLE[0], PEOPLE[1], Approver(name="dora", to="+1")]
        begun = stage.hub.now()
        outcome = await (await stage.start(human_approval, spec(approvers=people, quorum=2))).result(WAIT)
        assert (outcome.decision, sorted(outcome.unreached)) == ("unreachable", ["ben", "dora"])
        assert (stage.hub.now() - begun).total_seconds() < 60


async def test_who_opts_out_after_being_asked_may_still_answer(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        handle = await stage.start(human_approval, spec(quorum=3))
        await stage.days(0.1)
        stage.twilio.opt_out(BEN, SENDER)
        await stage.days(1.5)
        assert (await stage.board())["ben"] == ("running", "asked, no reminder: has opted out")
        for number in (ANN, BEN, CLEO):
            await stage.opens(stage.link(number, "Approve"))
        assert (await handle.result(WAIT)).decision == "approved"


async def test_an_outage_of_hours_only_delays(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.twilio.faults.outage = True
        handle = await stage.start(human_approval, spec(quorum=3))
        await stage.days(0.05)
        assert stage.twilio.messages == []
        stage.twilio.faults.outage = False
        await stage.days(0.1)
        for number in (ANN, BEN, CLEO):
            assert len(stage.texts(number)) == 1
            await stage.opens(stage.link(number, "Approve"))
        assert (await handle.result(WAIT)).decision == "approved"


async def test_a_lost_answer_of_twilios_sends_no_second_text(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.twilio.fail(Cut.NO_REPLY, Cut.HALF_REPLY, Cut.BEFORE)
        await stage.start(human_approval, spec(reminders=0))
        await stage.days(0.1)
        assert [len(stage.texts(number)) for number in (ANN, BEN, CLEO)] == [1, 1, 1]
        assert set((await stage.board()).values()) == {("running", "asked")}


async def test_no_link_is_stored_anywhere(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        handle = await stage.start(human_approval, spec())
        await stage.days(1.5)
        links = [stage.link(number, word) for number in (ANN, BEN, CLEO) for word in ("Approve", "Reject")]
        await stage.opens(links[1])
        await handle.result(WAIT)
        stored = await stage.stored()
        assert "A new roof" in stored
        for link in links:
            body, signature = link.rpartition("/")[2].split(".")
            assert body not in stored and signature not in stored


async def test_an_activity_of_ones_own_gets_the_request_and_makes_the_links(tmp_path: Path) -> None:
    sent: list[tuple[str, str]] = []
    more = Registry()

    @activity(name="mail", registry=more)
    async def mail(ask: ApprovalRequest) -> None:
        if len(sent) < 1:
            sent.append(("lost", repr(ask.links())))
            raise OSError("the mail server is away")
        sent.append((ask.approver.to, ask.links().approve.reveal()))

    async with staged(tmp_path, more) as stage:
        people = [Approver(name="ann", to="ann@example.com")]
        handle = await stage.start(human_approval, spec(approvers=people, send="mail"))
        await stage.days(0.1)
        assert [to for to, _ in sent] == ["lost", "ann@example.com"]
        assert "hooks.example.com" not in sent[0][1]
        await stage.opens(sent[1][1])
        assert (await handle.result(WAIT)).decision == "approved"
        assert stage.twilio.requests == []


async def test_a_sender_that_gives_its_links_back_fails_instead_of_storing_them(tmp_path: Path) -> None:
    more = Registry()

    @activity(name="mail", registry=more)
    async def mail(ask: ApprovalRequest) -> Any:
        return ask.links()

    async with staged(tmp_path, more) as stage:
        await stage.start(human_approval, spec(send="mail", deadline=60.0))
        await stage.minutes(2)
        stored = await stage.stored()
        assert "hooks.example.com" not in stored and "/events/" not in stored


async def test_a_sender_that_fails_for_good_fails_the_run(tmp_path: Path) -> None:
    more = Registry()

    @activity(name="mail", registry=more)
    async def mail(ask: ApprovalRequest) -> None:
        raise NonRetriableError("no such template")

    async with staged(tmp_path, more) as stage:
        handle = await stage.start(human_approval, spec(send="mail"))
        with pytest.raises(OrchestrationFailedError, match="no such template"):
            await handle.result(WAIT)


async def test_wrong_credentials_are_nobodys_opt_out(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.twilio.fail(20003)
        handle = await stage.start(human_approval, spec())
        with pytest.raises(OrchestrationFailedError) as caught:
            await handle.result(WAIT)
        assert caught.value.failure.is_caused_by("AuthenticationFailed")


async def test_a_question_that_does_not_fit_a_text_is_refused_and_nobody_is_blamed(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        with pytest.raises(OrchestrationFailedError, match="shorten the question"):
            await (await stage.start(human_approval, spec(question="Why? " * 250))).result(WAIT)


async def test_a_plan_sends_nothing_and_lists_what_is_sent_when_nobody_answers(tmp_path: Path) -> None:
    wanted = {"reminders": 3, "deadline": 2.5 * DAY}
    async with staged(tmp_path) as stage:
        outcome = await (await stage.start(human_approval, spec(plan=True, **wanted))).result(WAIT)
        assert (outcome.decision, stage.twilio.requests) == ("planned", [])
        planned = [(call.input["approver"]["to"], bool(call.input.get("reminder"))) for call in outcome.planned]
        assert {call.activity for call in outcome.planned} == {"suborchestrations.people.text_approval"}
        assert len(planned) == 9
    (tmp_path / "real").mkdir()
    async with staged(tmp_path / "real") as stage:
        await (await stage.start(human_approval, spec(**wanted))).result(WAIT)
        real = [(one.to, one.body.startswith("Reminder: ")) for one in stage.twilio.messages]
        assert sorted(real) == sorted(planned)


async def test_a_cancel_ends_the_asking(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        handle = await stage.start(human_approval, spec())
        await stage.days(0.1)
        await stage.hub.client.cancel(ID)
        with pytest.raises(OrchestrationCancelledError):
            await handle.result(WAIT)
        await stage.days(8)
        assert len(stage.twilio.messages) == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"question": ""},
        {"approvers": []},
        {"approvers": [PEOPLE[0], PEOPLE[0]]},
        {"quorum": 0},
        {"quorum": 4},
        {"reminders": -1},
        {"remind_every": 0.0},
        {"deadline": 0.0},
    ],
)
async def test_a_spec_that_cant_be_right_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    async with staged(tmp_path) as stage:
        with pytest.raises(OrchestrationFailedError) as caught:
            await (await stage.start(human_approval, spec(**changes))).result(WAIT)
        assert caught.value.failure.is_caused_by(InvalidRequest)
        assert stage.twilio.requests == []
