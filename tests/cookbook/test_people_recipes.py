"""The recipes that wait for people, copied out of the project: by themselves, and killed with kill -9 against a Twilio that lives on and counts."""

import dataclasses
import re
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

from connectors.twilio.testing import SENDER, FakeTwilio
from cookbook.expense_approval import EMPLOYEE, OFFLINE_KEY, press
from cookbook.incident_escalation import WHAT
from tests.cookbook.conftest import Kitchen
from tests.cookbook.test_twilio_recipes import kitchen_with

ANN, BEN, CLEO = (f"+1555123000{number}" for number in (1, 2, 3))
PUBLIC = "https://oncall.example.com"
ALERT = f"{WHAT} Answer OK to take it."


@pytest.fixture
def twilio() -> Iterator[FakeTwilio]:
    with FakeTwilio() as fake:
        yield fake


@pytest.fixture
def port() -> str:
    """One that is free now, and again after a kill."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return str(free.getsockname()[1])


def until(what: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


@contextmanager
def cooking(kitchen: Kitchen, *arguments: str) -> "Iterator[subprocess.Popen[str]]":
    """Running; kill -9 at the end, if it hasn't ended by itself."""
    with kitchen.start(*arguments) as process:
        try:
            yield process
        finally:
            process.kill()


def payments(kitchen: Kitchen) -> list[tuple[str, float]]:
    with closing(sqlite3.connect(kitchen.folder / "expense_approval.books.db")) as db:
        return db.execute("select claim, amount from payments").fetchall()


def expenses(kitchen: Kitchen, twilio: FakeTwilio, port: str) -> Kitchen:
    """With a Twilio and an address of its own."""
    kitchen = kitchen_with(kitchen, twilio)
    hooks = {"BASE_URL": f"http://127.0.0.1:{port}", "SIGNING_KEY": OFFLINE_KEY}
    ours = {f"DTF_CONNECTION_WEBHOOKS_DEFAULT_{name}": value for name, value in hooks.items()}
    return dataclasses.replace(kitchen, environment={**kitchen.environment, **ours})


@pytest.mark.parametrize("amount", ["900", "80"])
def test_an_expense_runs_alone_offline(kitchen: Kitchen, port: str, amount: str) -> None:
    code, printed = kitchen.run("expense_approval", "--port", port, "--amount", amount)
    assert code == 0, printed
    assert printed.splitlines()[-1] == "It was paid once, and each was told once."
    assert payments(kitchen) == [("expense-7", float(amount))]
    assert printed.count("presses Approve: 200") == (2 if amount == "900" else 1)
    assert not kitchen.refused


@pytest.mark.parametrize("moment", ["links at port", "presses Approve"])
def test_an_expense_killed_offline_goes_on_with_another_twilio(kitchen: Kitchen, port: str, moment: str) -> None:
    arguments = ("expense_approval", "--port", port, "--remind", "1")
    with cooking(kitchen, *arguments) as process:
        until(lambda: moment in kitchen.output.read_text())
        process.kill()
    code, printed = kitchen.run(*arguments)
    assert code == 0, printed
    assert payments(kitchen) == [("expense-7", 900.0)]


def test_an_expense_killed_twice_asks_pays_and_tells_once(kitchen: Kitchen, twilio: FakeTwilio, port: str) -> None:
    kitchen = expenses(kitchen, twilio, port)
    arguments = ("expense_approval", "--port", port)
    with cooking(kitchen, *arguments) as process:
        until(lambda: len(twilio.messages) == 2)
        process.kill()
    texts = {one.to: one.body for one in twilio.messages}
    assert set(texts) == {ANN, BEN}

    with cooking(kitchen, *arguments) as process:
        until(lambda: "links at port" in kitchen.output.read_text())
        assert press(texts[ANN], "Approve") == 200
        process.kill()
    assert len(twilio.messages) == 2

    with cooking(kitchen, *arguments) as process:
        until(lambda: "links at port" in kitchen.output.read_text())
        assert press(texts[ANN], "Reject") == 410, "the answer before the kill counts"
        assert press(texts[BEN], "Approve") == 200
        assert process.wait(30) == 0, kitchen.output.read_text()
    told = [one.body for one in twilio.messages if one.to == EMPLOYEE]
    assert told == ["Your expense (A new chair) was approved and is paid."]
    assert len(twilio.messages) == 3
    assert payments(kitchen) == [("expense-7", 900.0)]
    signatures = [re.findall(r"\.([\w-]{43})\n?", text + "\n") for text in texts.values()]
    assert [len(found) for found in signatures] == [2, 2]
    ours = [path for path in kitchen.folder.glob("expense_approval.*") if path.is_file()]
    assert len(ours) >= 3
    for path in ours:
        assert not any(one.encode() in path.read_bytes() for found in signatures for one in found), path


def test_a_rejected_expense_is_not_paid(kitchen: Kitchen, twilio: FakeTwilio, port: str) -> None:
    kitchen = expenses(kitchen, twilio, port)
    with cooking(kitchen, "expense_approval", "--port", port) as process:
        until(lambda: len(twilio.messages) == 2)
        assert press(twilio.messages[0].body, "Reject") == 200
        assert process.wait(30) == 1, kitchen.output.read_text()
    assert twilio.messages[-1].body == "Your expense (A new chair) was rejected."
    assert not (kitchen.folder / "expense_approval.books.db").exists()


def test_an_incident_runs_alone_offline(kitchen: Kitchen) -> None:
    code, printed = kitchen.run("incident_escalation")
    assert code == 0, printed
    assert printed.splitlines()[-1] == "Each was told once, and who opted out was not."
    assert "incident-3: cleo has it" in printed
    assert not kitchen.refused


@pytest.mark.parametrize("kill_after", ["the text", "the call"])
def test_an_incident_killed_in_the_middle_tells_nobody_twice(
    kitchen: Kitchen, twilio: FakeTwilio, kill_after: str
) -> None:
    kitchen = kitchen_with(kitchen, twilio)
    twilio.opt_out(ANN, SENDER)
    arguments = ("incident_escalation", "--wait", "2")
    with cooking(kitchen, *arguments) as process:
        until(lambda: len(twilio.messages if kill_after == "the text" else twilio.calls) == 1)
        process.kill()
    assert (len(twilio.messages), len(twilio.calls)) == (1, 0 if kill_after == "the text" else 1)

    with cooking(kitchen, *arguments) as process:
        until(lambda: len(twilio.messages) == 2)
        twilio.public[PUBLIC] = re.findall(r"http://127\.0\.0\.1:\d+", kitchen.output.read_text())[-1]
        told = twilio.texts(CLEO, SENDER, "OK", f"{PUBLIC}/twilio/sms")
        assert told is not None and told.status == 200
        assert process.wait(30) == 0, kitchen.output.read_text()
    assert "cleo has it" in kitchen.output.read_text()
    assert [(one.to, one.body) for one in twilio.messages] == [(BEN, ALERT), (CLEO, ALERT), (BEN, "cleo has it.")]
    assert [one.to for one in twilio.calls] == [BEN]
