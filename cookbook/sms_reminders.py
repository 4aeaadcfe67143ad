"""SMS reminders: a text before each appointment, once, whatever crashes in between; who has opted out gets none.

Shows   durable timers days ahead, fan-out, a text effectively once, an opt-out (STOP) as a typed error that is no failure
Needs   pip install 'dtf-runtime[testing]'; for real 'dtf-runtime[twilio]'
Run     python sms_reminders.py                     no credentials: a Twilio on this machine, appointments in a few seconds
        python sms_reminders.py +15551234567=2030-05-01T09:00+02:00 ...      for real, with TWILIO_ACCOUNT_SID,
                                                    TWILIO_AUTH_TOKEN and TWILIO_FROM set; reminds a day before each
        python sms_reminders.py --id may            after a crash, the same line goes on where it stood
"""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.core import resolve, using
from connectors.twilio import FindMessages, OptedOut, SendMessage, TwilioConnection, find_messages, send_message
from connectors.twilio.testing import SENDER, FakeTwilio
from dtf_runtime import (
    OrchestrationAlreadyExistsError,
    OrchestrationContext,
    TaskFailedError,
    TaskHubClient,
    TaskHubWorker,
    connect,
    orchestration,
)

# == The workflow =================================================================================================


@dataclass(frozen=True)
class Appointment:
    number: str
    at: datetime


@dataclass(frozen=True)
class Plan:
    sender: str
    before: float  # seconds before an appointment
    appointments: list[Appointment]


@dataclass(frozen=True)
class Outcome:
    number: str
    what: str  # "reminded", "opted out", "failed: ..."


@orchestration
async def reminders(ctx: OrchestrationContext, plan: Plan) -> list[Outcome]:
    """One outcome an appointment, in their order. One that fails doesn't stop the others."""

    async def remind(one: Appointment) -> Outcome:
        due = one.at - timedelta(seconds=plan.before)
        await asyncio.sleep(max((due - ctx.now()).total_seconds(), 0.0))  # days, if need be: it sleeps in the database
        text = f"See you on {one.at:%d %B at %H:%M}. Reply STOP to get no more of these."
        try:
            await send_message(SendMessage(to=one.number, from_=plan.sender, body=text))
        except TaskFailedError as error:
            if error.failure.is_caused_by(OptedOut):
                return Outcome(one.number, "opted out")  # their wish, so no failure, and nothing to try again
            return Outcome(one.number, f"failed: {error.failure.message}")
        return Outcome(one.number, "reminded")

    return list(await asyncio.gather(*(remind(one) for one in plan.appointments)))


# == The program ==================================================================================================

HUB = "sqlite:///sms_reminders.db"
STOPPED = "+15551230002"  # of the people on the Twilio on this machine, the one who has answered STOP
PEOPLE = ("+15551230001", STOPPED, "+15551230003")


async def main(options: argparse.Namespace, connection: TwilioConnection) -> int:
    plan = Plan(connection.sender, options.before, options.appointments)
    began = datetime.now(UTC) - timedelta(minutes=5)
    service = connect(options.hub)
    async with TaskHubWorker(service, connections=[connection]), TaskHubClient(service) as client:
        try:
            handle = await client.start(reminders, plan, instance_id=options.id)
        except OrchestrationAlreadyExistsError:  # started earlier: the worker has already taken it up
            handle = client.handle(options.id, list[Outcome])
            began = (await handle.state()).created_at - timedelta(minutes=5)
        print(f"Instance {handle.instance_id} in {options.hub}", flush=True)
        outcomes = await handle.result()
    for outcome in outcomes:
        print(f"{outcome.number}: {outcome.what}")
    await check(outcomes, connection, began)
    return 1 if any(one.what.startswith("failed") for one in outcomes) else 0


async def check(outcomes: list[Outcome], connection: TwilioConnection, began: datetime) -> None:
    """What Twilio itself has: one text for each who was reminded, none for who has opted out."""
    with using(connection):
        for outcome in outcomes:
            call = FindMessages(to=outcome.number, from_=connection.sender, created_since=began)
            found = [one for one in (await find_messages(call)).messages if one.direction != "inbound"]
            expected = sum(one.number == outcome.number and one.what == "reminded" for one in outcomes)
            assert len(found) == expected, f"{outcome.number} got {len(found)} texts, not {expected}"
    print("Twilio has each text once.")


@contextmanager
def account(options: argparse.Namespace) -> Iterator[TwilioConnection]:
    """Yours, when there is one; else a Twilio on this machine."""
    names = ("TWILIO_ACCOUNT_SID", "DTF_CONNECTION_TWILIO_DEFAULT_ACCOUNT_SID")
    if not options.offline and any(os.environ.get(name) for name in names):
        found = resolve(TwilioConnection)
        sender = os.environ.get("TWILIO_FROM") or found.sender
        yield with_sender(found, sender)
        return
    with FakeTwilio() as twilio:
        twilio.texts(STOPPED, SENDER, "STOP")
        yield twilio.connection()


def with_sender(connection: TwilioConnection, sender: str) -> TwilioConnection:
    if not sender:
        raise SystemExit("Set TWILIO_FROM to a number of yours.")
    return replace(connection, sender=sender)


def appointment(text: str) -> Appointment:
    number, _, at = text.partition("=")
    when = datetime.fromisoformat(at)
    if when.tzinfo is None:
        raise argparse.ArgumentTypeError("say the time zone too: 2030-05-01T09:00+02:00")
    return Appointment(number, when)


def command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A text before each appointment.")
    parser.add_argument("appointments", nargs="*", type=appointment, metavar="NUMBER=TIME")
    parser.add_argument("--before", type=float, metavar="SECONDS", help="default: a day; 2 for the sample")
    parser.add_argument("--id", metavar="NAME", help="the instance; one that exists goes on where it stood")
    parser.add_argument("--offline", action="store_true", help="against a Twilio on this machine; sends nothing")
    parser.add_argument("--hub", default=HUB, metavar="URL", help="default: %(default)s")
    options = parser.parse_args()
    is_sample = not options.appointments
    if options.before is None:
        options.before = 2.0 if is_sample else 86_400.0
    if is_sample:
        now = datetime.now(UTC)
        options.appointments = [Appointment(one, now + timedelta(seconds=3 + n)) for n, one in enumerate(PEOPLE)]
    return options


def program() -> Any:
    logging.basicConfig(level=logging.ERROR)
    options = command_line()
    with account(options) as connection:
        return asyncio.run(main(options, connection))


if __name__ == "__main__":
    sys.exit(program())
