"""Expense approval: whoever must agree gets two links by text; when enough have said yes it is paid, once, and the employee hears of it.

Shows   a ready sub-orchestration, signed links that are good for one answer and are stored nowhere, a quorum, reminders, a deadline of a week
Needs   pip install 'dtf-runtime[testing]'; for real 'dtf-runtime[http,twilio]'
Run     python expense_approval.py                  no credentials: a Twilio on this machine, and people who open their links
        python expense_approval.py --amount 80      small ones need one approval
        kill it (Ctrl-C, kill -9), and run it again with the same --id: it goes on where it stood
Real    export TWILIO_ACCOUNT_SID=... TWILIO_AUTH_TOKEN=... DTF_CONNECTION_TWILIO_DEFAULT_SENDER=+1...
        export DTF_CONNECTION_WEBHOOKS_DEFAULT_BASE_URL=https://hooks.example.com       where --port is reached from outside
        export DTF_CONNECTION_WEBHOOKS_DEFAULT_SIGNING_KEY=...                          at least 32 characters
        python expense_approval.py --approver ann:+1555... --approver ben:+1555... --employee +1555...
Watch   dtf show expense-7~approval --hub sqlite:///expense_approval.db
"""

import argparse
import asyncio
import logging
import os
import re
import sqlite3
import sys
import urllib.error
import urllib.request
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

from connectors.core import Secret, resolve
from connectors.core.webhooks import Links, WebhookApp, WebhookConnection, running
from connectors.twilio import OptedOut, SendMessage, TwilioConnection, send_message
from connectors.twilio.testing import FakeTwilio
from dtf_runtime import (
    OrchestrationAlreadyExistsError,
    OrchestrationContext,
    TaskFailedError,
    TaskHubClient,
    TaskHubWorker,
    activity,
    connect,
    orchestration,
)
from suborchestrations.people import ApprovalSpec, Approver, human_approval

# == The workflow =================================================================================================

SMALL = 500.0  # EUR: up to it one approval is enough
WEEK = 7 * 86400.0


@dataclass(frozen=True)
class Expense:
    what: str
    amount: float
    employee: str  # a number
    approvers: list[Approver]
    books: str  # the file of the payments
    remind_every: float = 86400.0


@orchestration
async def expense(ctx: OrchestrationContext, claim: Expense) -> str:
    """approved, rejected, expired or unreachable."""
    spec = ApprovalSpec(
        question=f"{claim.what}, {claim.amount:.2f} EUR?",
        approvers=claim.approvers,
        quorum=1 if claim.amount <= SMALL else len(claim.approvers),
        remind_every=claim.remind_every,
        deadline=WEEK,
    )
    asked = await human_approval.options(instance_id=f"{ctx.instance_id}~approval")(spec)
    if asked.approved:
        await pay(claim.books, ctx.instance_id, claim.amount)
    try:
        await send_message(SendMessage(to=claim.employee, body=answer_to(claim, asked.decision)))
    except TaskFailedError as error:
        if not error.failure.is_caused_by(OptedOut):
            raise
    return asked.decision


def answer_to(claim: Expense, decision: str) -> str:
    told = {"approved": "was approved and is paid", "rejected": "was rejected"}
    return f"Your expense ({claim.what}) {told.get(decision, 'was not decided in time')}."


@activity
def pay(path: str, claim: str, amount: float) -> None:
    """May run twice when a worker dies: each claim is in the books once."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("create table if not exists payments (claim text primary key, amount real not null)")
        db.execute("insert or ignore into payments values (?, ?)", (claim, amount))


# == The program ==================================================================================================

HUB = "sqlite:///expense_approval.db"
OFFLINE_KEY = "offline, where nobody else can send anything"  # the same after a crash, as a real one is
PEOPLE = ("ann:+15551230001", "ben:+15551230002")
EMPLOYEE = "+15551230009"


async def main(options: argparse.Namespace, connection: TwilioConnection, fake: FakeTwilio | None) -> int:
    hooks = WebhookConnection(base_url=f"http://127.0.0.1:{options.port}", signing_key=Secret(OFFLINE_KEY))
    if fake is None:
        hooks = resolve(WebhookConnection)
    claim = Expense(
        what=options.what,
        amount=options.amount,
        employee=options.employee,
        approvers=[Approver(name=name, to=to) for name, to in (one.split(":") for one in options.approver)],
        books=options.books,
        remind_every=options.remind or (3.0 if fake else 86400.0),
    )
    service = connect(options.hub)
    app = WebhookApp(service, links=Links.of(hooks), inbox=options.inbox)
    async with (
        TaskHubClient(service) as client,
        running(app, port=options.port),
        TaskHubWorker(service, connections=[connection, hooks]),
    ):
        try:
            handle = await client.start(expense, claim, instance_id=options.id)
            is_new = True
        except OrchestrationAlreadyExistsError:  # started earlier: the worker has already taken it up
            handle = client.handle(options.id, str)
            is_new = False
        print(f"Instance {options.id} in {options.hub}, links at port {options.port}", flush=True)
        playing = asyncio.create_task(play(fake, claim)) if fake else None
        decision = await handle.result()
        if playing:
            playing.cancel()
            await asyncio.wait([playing])
    print(f"{options.id}: {decision}")
    if fake is not None:
        check(claim, options.id, fake, is_new)
    return 0 if decision == "approved" else 1


# == The approvers, and what Twilio has in the end ================================================================


async def play(fake: FakeTwilio, claim: Expense) -> None:
    """They approve. A small expense leaves the second one nothing to do."""
    people = claim.approvers[: 1 if claim.amount <= SMALL else None]
    await asyncio.gather(*(approve(fake, one) for one in people))


async def approve(fake: FakeTwilio, who: Approver) -> None:
    await fake.until(lambda: any(one.to == who.to for one in fake.messages), timeout=WEEK)
    text = next(one.body for one in fake.messages if one.to == who.to)
    status = await asyncio.to_thread(press, text, "Approve")
    print(f"{who.name} presses Approve: {status}", flush=True)


def press(text: str, word: str) -> int:
    """The page's button behind a link of that text; the status it is answered with."""
    link = re.findall(rf"{word}: (\S+)", text)[0]
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(link, data=b"") as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def check(claim: Expense, name: str, fake: FakeTwilio, is_new: bool) -> None:
    """What the books and the fake have. One that was begun earlier may have texted by a fake that is no more."""
    with closing(sqlite3.connect(claim.books)) as db:
        assert db.execute("select amount from payments where claim = ?", (name,)).fetchall() == [(claim.amount,)]
    told = [one.body for one in fake.messages if one.to == claim.employee]
    assert told == [answer_to(claim, "approved")] or (not told and not is_new)
    texts = Counter((one.to, one.body) for one in fake.messages if not one.body.startswith("Reminder: "))
    assert max(texts.values(), default=0) <= 1
    assert len(texts) == len(claim.approvers) + 1 or not is_new
    print("It was paid once, and each was told once.")


def command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Have an expense approved by text.")
    parser.add_argument("--id", default="expense-7", metavar="INSTANCE", help="default: %(default)s")
    parser.add_argument("--what", default="A new chair", help="default: %(default)s")
    parser.add_argument("--amount", type=float, default=900.0, metavar="EUR", help="default: %(default)g")
    parser.add_argument("--approver", action="append", metavar="NAME:NUMBER", help=f"default: {' and '.join(PEOPLE)}")
    parser.add_argument("--employee", default=EMPLOYEE, metavar="NUMBER", help="default: %(default)s")
    parser.add_argument("--remind", type=float, metavar="SECONDS", help="between reminders; default: a day")
    parser.add_argument("--port", type=int, default=8767, help="where links are opened; default: %(default)s")
    parser.add_argument("--books", type=os.path.abspath, default="expense_approval.books.db", metavar="FILE")
    parser.add_argument("--offline", action="store_true", help="against a Twilio on this machine; sends nothing")
    parser.add_argument("--hub", default=HUB, metavar="URL", help="default: %(default)s")
    parser.add_argument("--inbox", default="expense_approval.inbox.db", metavar="FILE", help="default: %(default)s")
    options = parser.parse_args()
    options.approver = options.approver or list(PEOPLE)
    return options


def program() -> Any:
    logging.basicConfig(level=logging.ERROR)
    options = command_line()
    names = ("TWILIO_ACCOUNT_SID", "DTF_CONNECTION_TWILIO_DEFAULT_ACCOUNT_SID")
    with ExitStack() as stack:
        if not options.offline and any(os.environ.get(name) for name in names):
            return asyncio.run(main(options, resolve(TwilioConnection), None))
        fake = stack.enter_context(FakeTwilio())
        return asyncio.run(main(options, fake.connection(), fake))


if __name__ == "__main__":
    sys.exit(program())
