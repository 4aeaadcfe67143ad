"""What goes over the wire for a message, a call, a verification and a look-up, and what comes back."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from connectors.core import Conflict, InvalidRequest, NotFound, Permanent, using
from connectors.twilio import (
    CheckVerification,
    FindMessages,
    ListMessages,
    LookupNumber,
    MakeCall,
    MessageSid,
    SendMessage,
    StartVerification,
    cancel_message,
    check_verification,
    find_messages,
    list_messages,
    lookup_number,
    make_call,
    send_message,
    start_verification,
)
from connectors.twilio.testing import SENDER, SERVICE, Cut, FakeTwilio

TO = "+15551234567"


@pytest.fixture(autouse=True)
def connected(twilio: FakeTwilio) -> Iterator[None]:
    with using(twilio.connection(status_callback="https://hooks.example.com/twilio/status?shop=1")):
        yield


async def test_every_option_of_a_message_is_asked_for(twilio: FakeTwilio) -> None:
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)
    sent = await send_message(
        SendMessage(
            to=f"whatsapp:{TO}",
            messaging_service_sid="MG" + "0" * 32,
            content_sid="HX" + "0" * 32,
            content_variables={"1": "Ann"},
            media_urls=["https://example.com/a.jpg", "https://example.com/b.jpg"],
            send_at=at,
            validity_period=600,
            notify="order-7",
        )
    )
    (made,) = twilio.messages
    assert sent.status == made.status == "scheduled"
    callback = made.asked.pop("StatusCallback")[0]
    assert callback.startswith("https://hooks.example.com/twilio/status?shop=1&dtf-key=")
    assert callback.endswith("&dtf-instance=order-7")
    assert made.asked == {
        "To": [f"whatsapp:{TO}"],
        "MessagingServiceSid": ["MG" + "0" * 32],
        "ContentSid": ["HX" + "0" * 32],
        "ContentVariables": ['{"1": "Ann"}'],
        "MediaUrl": ["https://example.com/a.jpg", "https://example.com/b.jpg"],
        "SendAt": [at.strftime("%Y-%m-%dT%H:%M:%SZ")],
        "ScheduleType": ["fixed"],
        "ValidityPeriod": ["600"],
    }


async def test_two_calls_carry_two_keys_and_no_callback_means_none(twilio: FakeTwilio) -> None:
    for _ in range(2):
        await send_message(SendMessage(to=TO, body="hi"))
    await send_message(SendMessage(to=TO, body="hi", status_callback=""))
    first, second, third = twilio.messages
    assert first.callback != second.callback
    assert third.callback == ""


@pytest.mark.parametrize(
    "call",
    [
        SendMessage(to="", body="hi"),
        SendMessage(to=TO),
        SendMessage(to=TO, body="hi", send_at=datetime.now(UTC)),
        SendMessage(to=TO, body="hi", messaging_service_sid="MG1", send_at=datetime.now()),
        SendMessage(to=TO, body="hi", status_callback="ftp://example.com"),
        SendMessage(to=TO, body="hi", status_callback="https://a_b.example.com"),
    ],
)
async def test_what_cant_be_right_is_not_sent(twilio: FakeTwilio, call: SendMessage) -> None:
    with pytest.raises(InvalidRequest):
        await send_message(call)
    assert twilio.requests == []


async def test_a_list_goes_over_pages_and_find_goes_by_the_date_created(twilio: FakeTwilio) -> None:
    for number in range(120):
        twilio.world.send(TO, SENDER, "", f"text {number}")
    listed = (await list_messages(ListMessages(to=TO, limit=110))).messages
    assert len(listed) == 110
    since = datetime.now(UTC) - timedelta(minutes=5)
    found = (await find_messages(FindMessages(to=TO, created_since=since))).messages
    assert len(found) == 120
    found = (await find_messages(FindMessages(to=TO, body="text 7", created_since=since))).messages
    assert [one.body for one in found] == ["text 7"]
    later = datetime.now(UTC) + timedelta(minutes=5)
    assert (await find_messages(FindMessages(to=TO, created_since=later))).messages == []


async def test_a_trial_accounts_preamble_does_not_hide_a_message(twilio: FakeTwilio) -> None:
    twilio.world.send(TO, SENDER, "", "Sent from your Twilio trial account - hi")
    since = datetime.now(UTC) - timedelta(minutes=5)
    assert len((await find_messages(FindMessages(to=TO, body="hi", created_since=since))).messages) == 1


async def test_a_message_that_is_out_cant_be_cancelled_and_one_that_isnt_there_neither(twilio: FakeTwilio) -> None:
    one = twilio.world.send(TO, SENDER, "", "hi")
    one.status, one.ahead = "delivered", []
    with pytest.raises(Conflict, match="it is delivered"):
        await cancel_message(MessageSid(sid=one.sid))
    with pytest.raises(NotFound):
        await cancel_message(MessageSid(sid="SM" + "0" * 32))
    with pytest.raises(InvalidRequest):
        await cancel_message(MessageSid(sid="../Calls"))


async def test_a_call_says_what_is_to_happen_in_it(twilio: FakeTwilio) -> None:
    made = await make_call(
        MakeCall(to=TO, twiml="<Response><Say>Hi</Say></Response>", ring_timeout=20, machine_detection="Enable")
    )
    asked = twilio.calls[0].asked
    assert (made.from_, made.status) == (SENDER, "queued")
    assert asked["Twiml"] == ["<Response><Say>Hi</Say></Response>"]
    assert asked["Timeout"] == ["20"]
    assert asked["StatusCallbackEvent"] == ["initiated", "ringing", "answered", "completed"]
    with pytest.raises(InvalidRequest, match="either twiml or url"):
        await make_call(MakeCall(to=TO))


async def test_a_wrong_code_is_pending_a_right_one_approved_and_five_sends_are_the_most(twilio: FakeTwilio) -> None:
    start = StartVerification(service_sid=SERVICE, to=TO)
    started = await start_verification(start)
    right = twilio.code_for(TO)
    wrong = f"{(int(right) + 1) % 1_000_000:06}"

    def check(code: str) -> CheckVerification:
        return CheckVerification(service_sid=SERVICE, verification_sid=started.sid, code=code)

    assert not (await check_verification(check(wrong))).approved
    assert (await check_verification(check(right))).approved
    other = StartVerification(service_sid=SERVICE, to="+15557654321")
    assert [(await start_verification(other)).sends for _ in range(5)] == [1, 2, 3, 4, 5]
    with pytest.raises(Permanent, match="sent too often"):
        await start_verification(other)


async def test_anothers_approval_makes_no_wrong_code_right(twilio: FakeTwilio) -> None:
    started = await start_verification(StartVerification(service_sid=SERVICE, to=TO))
    right = twilio.code_for(TO)
    wrong = f"{(int(right) + 1) % 1_000_000:06}"
    await check_verification(CheckVerification(service_sid=SERVICE, verification_sid=started.sid, code=right))
    with pytest.raises(NotFound):
        await check_verification(CheckVerification(service_sid=SERVICE, verification_sid=started.sid, code=wrong))


async def test_a_check_whose_answer_was_lost_is_known_by_its_attempt(twilio: FakeTwilio) -> None:
    started = await start_verification(StartVerification(service_sid=SERVICE, to=TO))
    twilio.fail(Cut.NO_REPLY)
    checked = await check_verification(
        CheckVerification(service_sid=SERVICE, verification_sid=started.sid, code=twilio.code_for(TO))
    )
    assert checked.approved and checked.replayed
    assert twilio.verifications[0].checks == 1


async def test_a_start_whose_answer_was_lost_sends_no_second_code(twilio: FakeTwilio) -> None:
    twilio.fail(Cut.HALF_REPLY)
    started = await start_verification(StartVerification(service_sid=SERVICE, to=TO))
    assert started.replayed
    assert len(twilio.verifications[0].sends) == 1


async def test_a_look_up_says_what_was_paid_for(twilio: FakeTwilio) -> None:
    plain = await lookup_number(LookupNumber(number=TO))
    paid = await lookup_number(LookupNumber(number=TO, fields=["line_type_intelligence"]))
    assert (plain.valid, plain.line_type) == (True, "")
    assert (paid.line_type, paid.carrier) == ("mobile", "Fake Mobile")
    with pytest.raises(InvalidRequest):
        await lookup_number(LookupNumber(number="../Services"))
