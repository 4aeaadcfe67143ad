"""Customer onboarding: an account and a workspace, a text that asks for a YES, reminders, then a customer who is live, or somebody who is told.

Shows   children of two kinds in parallel, texts that are sent once, answers as events, a wait with reminders and a last day, opt-outs
Needs   pip install 'dtf-runtime[testing]'; for real 'dtf-runtime[http,twilio]'
Run     python customer_onboarding.py               no credentials: a Twilio on this machine, and four customers who are as customers are
        kill it (Ctrl-C, kill -9), and run the same line: it goes on where it stood
Real    export TWILIO_ACCOUNT_SID=... TWILIO_AUTH_TOKEN=... DTF_CONNECTION_TWILIO_DEFAULT_SENDER=+1...
        python customer_onboarding.py ann:+1555... ben:+1555... --manager +1555... --public https://xyz.ngrok.app --port 8080
        The number's "a message comes in" is https://xyz.ngrok.app/twilio/sms
Watch   dtf show onboard-ann --hub sqlite:///customer_onboarding.db         and its children ...~workspace, ...~answer
"""

import argparse
import asyncio
import logging
import os
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from connectors.core import resolve
from connectors.core.webhooks import WebhookApp, running
from connectors.twilio import INBOUND_MESSAGE, InboundMessage, OptedOut, SendMessage, TwilioConnection, send_message
from connectors.twilio.testing import SENDER, FakeTwilio
from connectors.twilio.webhooks import inbound_messages
from dtf_runtime import (
    OrchestrationAlreadyExistsError,
    OrchestrationContext,
    OrchestrationHandle,
    TaskFailedError,
    TaskHubClient,
    TaskHubWorker,
    activity,
    connect,
    orchestration,
)

# == The workflow =================================================================================================

DAY = 86_400.0


@dataclass(frozen=True)
class Customer:
    name: str
    number: str


@dataclass(frozen=True)
class Plan:
    customer: Customer
    sender: str
    manager: str  # the number of who is told when it doesn't work out
    books: str  # the file of the accounts
    remind_every: float = DAY
    reminders: int = 2  # after the last one as long again, then it is over


@orchestration
async def onboard(ctx: OrchestrationContext, plan: Plan) -> str:
    """live, silent, or opted out."""
    ctx.set_custom_status("preparing and asking")
    async with asyncio.TaskGroup() as group:  # if the workspace can't be made, nobody is asked any longer
        group.create_task(prepare.options(instance_id=f"{ctx.instance_id}~workspace")(plan))
        asking = group.create_task(first_answer.options(instance_id=hears(ctx.instance_id))(plan))
    answer = asking.result()
    name = plan.customer.name
    if answer == "yes":
        await enter(plan.books, name, "live")
        await tell(plan, plan.customer.number, f"Welcome, {name}! You are live.")
    else:
        await close_account(plan.books, name)
        await tell(plan, plan.manager, f"{name} is {answer}. Please call {plan.customer.number}.")
    ctx.set_custom_status("over")
    return "live" if answer == "yes" else answer


@orchestration
async def prepare(ctx: OrchestrationContext, plan: Plan) -> None:
    await enter(plan.books, plan.customer.name, "invited")
    await asyncio.gather(*(furnish(plan.books, plan.customer.name, item) for item in WORKSPACE))


@orchestration
async def first_answer(ctx: OrchestrationContext, plan: Plan) -> str:
    """yes, silent, or opted out."""
    try:
        for number, text in enumerate(questions(plan.customer, plan.reminders)):
            ctx.set_custom_status("asked" if not number else f"reminded {number} times")
            await send_message(SendMessage(to=plan.customer.number, from_=plan.sender, body=text))
            if answer := await answered(ctx, plan.remind_every):
                return answer
    except TaskFailedError as error:
        if not error.failure.is_caused_by(OptedOut):
            raise
        return "opted out"  # their wish, and no failure
    return "silent"


async def answered(ctx: OrchestrationContext, patience: float) -> str:
    """Empty: not within so many seconds, which are a timer in the database. What is neither YES nor STOP is no answer."""
    try:
        async with asyncio.timeout(patience):
            while True:
                text = await ctx.wait_for_event(INBOUND_MESSAGE, InboundMessage)
                said = text.body.strip().lower()
                if (
                    text.opt_out == "STOP" or said == "stop"
                ):  # the former with a messaging service, which takes care of it by itself
                    return "opted out"
                if said == "yes":
                    return "yes"
    except TimeoutError:
        return ""


async def tell(plan: Plan, number: str, text: str) -> None:
    try:
        await send_message(SendMessage(to=number, from_=plan.sender, body=text))
    except TaskFailedError as error:
        if not error.failure.is_caused_by(OptedOut):
            raise


def questions(customer: Customer, reminders: int) -> list[str]:
    first = f"Hello {customer.name}, your workspace is being prepared. Reply YES to start."
    return [first, *(f"Reminder {number}: reply YES to start, {customer.name}." for number in range(1, reminders + 1))]


def hears(name: str) -> str:
    """The instance that texts are for: the child that waits for them."""
    return f"{name}~answer"


# == The accounts, in a file ======================================================================================
# Each may run twice when a worker dies; the second time finds its work done.

WORKSPACE = ("inbox", "calendar", "sample project")


@contextmanager
def opened(books: str) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(books, timeout=30)) as db, db:
        db.execute("create table if not exists account (name text primary key, state text)")
        db.execute("create table if not exists item (name text, item text, primary key (name, item))")
        yield db


@activity
def enter(books: str, name: str, state: str) -> None:
    with opened(books) as db:
        db.execute("insert into account values (?, ?) on conflict do update set state = excluded.state", (name, state))


@activity
def furnish(books: str, name: str, item: str) -> None:
    with opened(books) as db:
        db.execute("insert or ignore into item values (?, ?)", (name, item))


@activity
def close_account(books: str, name: str) -> None:
    with opened(books) as db:
        db.execute("delete from item where name = ?", (name,))
        db.execute("update account set state = 'closed' where name = ?", (name,))


def accounts(books: str) -> dict[str, tuple[str, int]]:
    """Name: its state, and how many items its workspace has."""
    with opened(books) as db:
        counted = "select name, state, (select count(*) from item where item.name = account.name) from account"
        return {name: (state, items) for name, state, items in db.execute(counted)}


# == The program ==================================================================================================

HUB = "sqlite:///customer_onboarding.db"
PEOPLE = ("ann:+15551230001", "ben:+15551230002", "cleo:+15551230003", "dan:+15551230004")
MANAGER = "+15551230009"


async def main(options: argparse.Namespace, connection: TwilioConnection, fake: FakeTwilio | None) -> int:
    people = [Customer(*one.split(":")) for one in options.customer]
    service = connect(options.hub)
    names = {one.number: hears(f"onboard-{one.name}") for one in people}
    webhook = inbound_messages(connection, route=lambda text: names.get(text.from_))
    app = WebhookApp(service, [webhook], base_url=options.public, inbox=options.inbox)
    async with (
        TaskHubClient(service) as client,
        running(app, port=options.port) as here,
        TaskHubWorker(service, connections=[connection]),
    ):
        print(f"Texts for {options.public}/twilio/sms are awaited at {here}", flush=True)
        playing = None
        if fake is not None:
            fake.public[options.public] = here
            playing = asyncio.create_task(play(fake, people, f"{options.public}/twilio/sms"))
        handles, is_new = [], True
        for one in people:
            every = options.remind or (2.5 if fake else DAY)
            plan = Plan(one, connection.sender, options.manager, options.books, every, options.reminders)
            handle, new = await start(client, plan)
            handles.append(handle)
            is_new = is_new and new
        outcomes = {one.name: await handle.result() for one, handle in zip(people, handles, strict=True)}
        if playing is not None:
            playing.cancel()
            await asyncio.wait([playing])
    for name, outcome in outcomes.items():
        print(f"{name} is {outcome}")
    if fake is not None:
        check(fake, outcomes, options, is_new)
    return 0


async def start(client: TaskHubClient, plan: Plan) -> tuple[OrchestrationHandle[str], bool]:
    """And whether it is new."""
    name = f"onboard-{plan.customer.name}"
    try:
        return await client.start(onboard, plan, instance_id=name), True
    except OrchestrationAlreadyExistsError:  # started earlier: the worker has already taken it up
        return client.handle(name, str), False


# == Customers with phones, and what Twilio has in the end ========================================================


async def play(fake: FakeTwilio, people: list[Customer], url: str) -> None:
    """The first one answers at once, the second one when reminded, the third one never, and the fourth one wants no texts."""
    ann, ben, _, dan = people
    answers = [(ann, "", "Yes"), (ben, "Reminder", "what is this?"), (ben, "Reminder", "YES"), (dan, "", "STOP")]
    await asyncio.gather(*(answer(fake, one, to, text, url) for one, to, text in answers))


async def answer(fake: FakeTwilio, who: Customer, to: str, text: str, url: str) -> None:
    await fake.until(
        lambda: any(one.to == who.number and one.body.startswith(to) for one in fake.messages), timeout=600
    )
    told = await asyncio.to_thread(fake.texts, who.number, SENDER, text, url)
    assert told is not None
    assert told.status == 200, f"the webhook answered {told.status}"


def check(fake: FakeTwilio, outcomes: dict[str, str], options: argparse.Namespace, is_new: bool) -> None:
    """What the fake and the books have. Those that were begun earlier may have been texted by a fake that is no more."""
    ends = {
        name: ("live", len(WORKSPACE)) if outcome == "live" else ("closed", 0) for name, outcome in outcomes.items()
    }
    assert accounts(options.books) == ends
    texts = [(one.to, one.body) for one in fake.messages]
    assert max(Counter(texts).values(), default=0) <= 1
    if is_new:
        assert outcomes == {"ann": "live", "ben": "live", "cleo": "silent", "dan": "opted out"}
        assert [body for to, body in texts if to == options.manager and "cleo" in body]
        assert len([body for to, body in texts if to == options.manager]) == 2
        assert len([body for _, body in texts if body.endswith("You are live.")]) == 2
    print("Nobody got a text twice, and the accounts are as the answers were.")


def command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Customers, from the first text to the first day.")
    parser.add_argument("customer", nargs="*", metavar="NAME:NUMBER", help="offline there are four of them")
    parser.add_argument("--manager", metavar="NUMBER", help="who is told when it doesn't work out")
    parser.add_argument("--remind", type=float, metavar="SECONDS", help="between reminders; default: a day")
    parser.add_argument("--reminders", type=int, default=1, metavar="N", help="default: %(default)s")
    parser.add_argument("--public", default="https://onboarding.example.com", metavar="URL", help="what Twilio calls")
    parser.add_argument("--port", type=int, default=0, help="where the proxy finds this program; default: any")
    parser.add_argument("--books", type=os.path.abspath, default="customer_onboarding.books.db", metavar="FILE")
    parser.add_argument("--offline", action="store_true", help="against a Twilio on this machine; sends nothing")
    parser.add_argument("--hub", default=HUB, metavar="URL", help="default: %(default)s")
    parser.add_argument("--inbox", default="customer_onboarding.inbox.db", metavar="FILE", help="default: %(default)s")
    return parser.parse_args()


def program() -> Any:
    logging.basicConfig(level=logging.ERROR)
    options = command_line()
    names = ("TWILIO_ACCOUNT_SID", "DTF_CONNECTION_TWILIO_DEFAULT_ACCOUNT_SID")
    if not options.offline and any(os.environ.get(name) for name in names):
        if not options.customer or not options.manager:
            raise SystemExit("Say who: NAME:NUMBER for each customer, and --manager NUMBER.")
        return asyncio.run(main(options, resolve(TwilioConnection), None))
    if options.customer or options.manager:
        raise SystemExit(
            "Customers and managers of yours need an account; set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN."
        )
    options.customer, options.manager = list(PEOPLE), MANAGER
    with FakeTwilio() as fake:
        return asyncio.run(main(options, fake.connection(), fake))


if __name__ == "__main__":
    sys.exit(program())
