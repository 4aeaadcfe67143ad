"""The recipes with Twilio, copied out of the project: by themselves, and killed with kill -9 against a Twilio that lives on and counts."""

import asyncio
import re
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from connectors.twilio.testing import SENDER, FakeTwilio, Thing
from cookbook.sms_reminders import PEOPLE, STOPPED
from cookbook.support_line import CONVERSATION, CUSTOMER, reply_to
from dtf_runtime import TaskHubClient
from tests.cookbook.conftest import Kitchen

PUBLIC = "https://support.example.com"


@pytest.fixture
def twilio() -> Iterator[FakeTwilio]:
    with FakeTwilio() as fake:
        yield fake


def kitchen_with(kitchen: Kitchen, twilio: FakeTwilio) -> Kitchen:
    """Its recipes find that Twilio where a user's credentials would be."""
    fields = {
        "ACCOUNT_SID": twilio.account_sid,
        "AUTH_TOKEN": twilio.auth_token,
        "BASE_URL": twilio.url,
        "SENDER": SENDER,
        "LEDGER": str(kitchen.folder / "ledger.db"),
        "READ_LAG": "0.2",
        "READ_TIMEOUT": "1",
        "CONNECT_TIMEOUT": "1",
    }
    ours = {f"DTF_CONNECTION_TWILIO_DEFAULT_{name}": value for name, value in fields.items()}
    return replace(kitchen, environment={**kitchen.environment, **ours})


def until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("recipe", "last"),
    [
        ("sms_reminders", "Twilio has each text once."),
        ("support_line", "Each text was answered once."),
        ("two_factor_signup", "One code was sent, and there is one account."),
    ],
)
def test_copied_alone_it_runs_on_a_twilio_of_its_own(kitchen: Kitchen, recipe: str, last: str) -> None:
    code, printed = kitchen.run(recipe)
    assert code == 0, printed
    assert printed.splitlines()[-1] == last
    assert not kitchen.refused


def test_reminders_killed_half_way_are_sent_once_each_and_none_to_who_opted_out(
    kitchen: Kitchen, twilio: FakeTwilio
) -> None:
    twilio.texts(STOPPED, SENDER, "STOP")
    kitchen = kitchen_with(kitchen, twilio)
    process = kitchen.start("sms_reminders", "--id", "may")
    until(lambda: len(twilio.messages) == 1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(twilio.messages) == 1, "it was killed before the last one"
    code, printed = kitchen.run("sms_reminders", "--id", "may")
    assert code == 0, printed
    assert f"{STOPPED}: opted out" in printed
    assert [one.to for one in twilio.messages] == [one for one in PEOPLE if one != STOPPED]


def test_a_support_line_killed_between_two_texts_goes_on_with_the_case(kitchen: Kitchen, twilio: FakeTwilio) -> None:
    kitchen = kitchen_with(kitchen, twilio)
    for number, text in enumerate(CONVERSATION, 1):
        if number < 3:  # a new process for the first and the second text
            process = kitchen.start("support_line")
            until(lambda: "awaited at" in kitchen.output.read_text())
            twilio.public[PUBLIC] = re.findall(r"http://127\.0\.0\.1:\d+", kitchen.output.read_text())[-1]
        told = twilio.texts(CUSTOMER, SENDER, text, f"{PUBLIC}/twilio/sms")
        assert told is not None
        assert told.status == 200
        until(lambda count=number: len(twilio.messages) >= count)  # type: ignore[misc]
        if number == 1:
            process.send_signal(signal.SIGKILL)
            process.wait()
    said = asyncio.run(result(kitchen, f"support_line.db case-{CUSTOMER[1:]}"))
    process.kill()
    process.wait()
    assert said == list(CONVERSATION)
    answers: list[Thing] = twilio.messages
    assert [one.body for one in answers] == [reply_to(text, n) for n, text in enumerate(CONVERSATION, 1)]


def test_a_sign_up_killed_while_it_waits_for_the_code_sends_no_second_one(kitchen: Kitchen, twilio: FakeTwilio) -> None:
    kitchen = kitchen_with(kitchen, twilio)
    process = kitchen.start("two_factor_signup")
    until(lambda: len(twilio.verifications) == 1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process = kitchen.start("two_factor_signup")
    until(lambda: "Type it" in kitchen.output.read_text())
    asyncio.run(type_code(kitchen, twilio.verifications[0].code))
    assert process.wait(60) == 0, kitchen.output.read_text()
    (verification,) = twilio.verifications
    assert (verification.status, len(verification.sends)) == ("approved", 1)
    with closing(sqlite3.connect(kitchen.folder / "accounts.db")) as db:
        assert db.execute("select name, number from accounts").fetchall() == [("ann", "+15551230001")]


async def type_code(kitchen: Kitchen, code: str) -> None:
    async with TaskHubClient(f"sqlite:///{kitchen.folder / 'two_factor_signup.db'}") as client:
        await client.raise_event("signup-ann", "code", code)


async def result(kitchen: Kitchen, where: str) -> list[str]:
    hub, _, instance = where.partition(" ")
    async with TaskHubClient(f"sqlite:///{kitchen.folder / hub}") as client:
        return await client.handle(instance, list[str]).result(30)
