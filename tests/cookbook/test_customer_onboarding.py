"""Customer onboarding, copied out of the project: by itself, and killed with kill -9 against a Twilio that lives on and counts."""

import re
import time
from collections.abc import Callable, Iterator

import pytest

from connectors.twilio.testing import SENDER, FakeTwilio
from cookbook.customer_onboarding import MANAGER, WORKSPACE, Customer, accounts, questions
from tests.cookbook.conftest import Kitchen
from tests.cookbook.test_twilio_recipes import kitchen_with

PUBLIC = "https://onboarding.example.com"
ANN, BEN, CLEO, DAN = (
    Customer(name, f"+1555123000{number}") for number, name in enumerate(("ann", "ben", "cleo", "dan"), 1)
)


@pytest.fixture
def twilio() -> Iterator[FakeTwilio]:
    with FakeTwilio() as fake:
        yield fake


def until(what: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def texts_to(twilio: FakeTwilio, who: Customer) -> list[str]:
    return [one.body for one in twilio.messages if one.to == who.number]


def told(twilio: FakeTwilio) -> list[str]:
    return sorted(one.body for one in twilio.messages if one.to == MANAGER)


def say(kitchen: Kitchen, twilio: FakeTwilio, who: Customer, text: str) -> None:
    """By text, to the recipe that runs now."""
    until(lambda: "awaited at" in kitchen.output.read_text())
    twilio.public[PUBLIC] = re.findall(r"http://127\.0\.0\.1:\d+", kitchen.output.read_text())[-1]
    answer = twilio.texts(who.number, SENDER, text, f"{PUBLIC}/twilio/sms")
    assert answer is not None
    assert answer.status == 200


def line_of(*people: Customer) -> list[str]:
    return ["customer_onboarding", "--manager", MANAGER, *(f"{one.name}:{one.number}" for one in people)]


def books(kitchen: Kitchen) -> dict[str, tuple[str, int]]:
    return accounts(str(kitchen.folder / "customer_onboarding.books.db"))


def test_copied_alone_it_runs_on_a_twilio_of_its_own(kitchen: Kitchen) -> None:
    code, printed = kitchen.run("customer_onboarding")
    assert code == 0, printed
    assert printed.splitlines()[1:] == [
        "ann is live",
        "ben is live",
        "cleo is silent",
        "dan is opted out",
        "Nobody got a text twice, and the accounts are as the answers were.",
    ]
    there, gone = ("live", len(WORKSPACE)), ("closed", 0)
    assert books(kitchen) == {"ann": there, "ben": there, "cleo": gone, "dan": gone}
    assert not kitchen.refused


def test_killed_offline_it_goes_on_with_another_twilio(kitchen: Kitchen) -> None:
    with kitchen.start("customer_onboarding") as recipe:
        try:
            until(lambda: (kitchen.folder / "customer_onboarding.books.db").exists() and len(books(kitchen)) == 4)
        finally:
            recipe.kill()
    code, printed = kitchen.run("customer_onboarding")
    assert code == 0, printed
    assert {state for state, _ in books(kitchen).values()} <= {"live", "closed"}


def test_killed_after_the_first_texts_and_after_an_answer_it_texts_nobody_twice(
    kitchen: Kitchen, twilio: FakeTwilio
) -> None:
    kitchen = kitchen_with(kitchen, twilio)
    line = [*line_of(ANN, BEN, DAN), "--remind", "600"]
    with kitchen.start(*line) as recipe:
        try:
            until(lambda: len(twilio.messages) == 3)
        finally:
            recipe.kill()

    with kitchen.start(*line) as recipe:
        try:
            say(kitchen, twilio, ANN, "yes")
            say(kitchen, twilio, DAN, "STOP")
            until(lambda: len(texts_to(twilio, ANN)) == 2)
        finally:
            recipe.kill()

    with kitchen.start(*line) as recipe:
        try:
            say(kitchen, twilio, BEN, "who is this?")
            say(kitchen, twilio, BEN, "Yes")
            assert recipe.wait(30) == 0, kitchen.output.read_text()
        finally:
            recipe.kill()
    for one in (ANN, BEN):
        assert texts_to(twilio, one) == [questions(one, 0)[0], f"Welcome, {one.name}! You are live."]
    assert texts_to(twilio, DAN) == [questions(DAN, 0)[0]]
    assert told(twilio) == [f"dan is opted out. Please call {DAN.number}."]
    assert books(kitchen) == {
        "ann": ("live", len(WORKSPACE)),
        "ben": ("live", len(WORKSPACE)),
        "dan": ("closed", 0),
    }
    assert not kitchen.refused


def test_killed_between_two_reminders_the_silent_one_gets_each_of_them_once(
    kitchen: Kitchen, twilio: FakeTwilio
) -> None:
    kitchen = kitchen_with(kitchen, twilio)
    line = [*line_of(CLEO), "--remind", "1", "--reminders", "3"]
    for texts in (1, 3):
        with kitchen.start(*line) as recipe:
            try:
                until(lambda texts=texts: len(twilio.messages) >= texts)  # type: ignore[misc]
            finally:
                recipe.kill()
    code, printed = kitchen.run(*line)
    assert code == 0, printed
    assert printed.splitlines()[-1] == "cleo is silent"
    assert texts_to(twilio, CLEO) == questions(CLEO, 3)
    assert told(twilio) == [f"cleo is silent. Please call {CLEO.number}."]
    assert books(kitchen) == {"cleo": ("closed", 0)}


def test_who_has_opted_out_before_gets_no_text_and_the_manager_is_told(kitchen: Kitchen, twilio: FakeTwilio) -> None:
    twilio.opt_out(DAN.number, SENDER)
    code, printed = kitchen_with(kitchen, twilio).run(*line_of(DAN))
    assert code == 0, printed
    assert texts_to(twilio, DAN) == []
    assert told(twilio) == [f"dan is opted out. Please call {DAN.number}."]


def test_without_an_account_nobody_of_yours_is_texted(kitchen: Kitchen) -> None:
    code, printed = kitchen.run(*line_of(ANN))
    assert code == 1
    assert "need an account" in printed


def test_with_an_account_nobody_made_up_is_texted(kitchen: Kitchen, twilio: FakeTwilio) -> None:
    code, printed = kitchen_with(kitchen, twilio).run("customer_onboarding")
    assert code == 1
    assert "Say who" in printed
    assert not twilio.messages
