"""Error handling: move money between accounts; what passes is tried again, what doesn't is undone.

Shows   a retry policy, an error that no policy repeats, compensation with Saga, changes that happen once though they are tried twice
Needs   pip install dtf-runtime
Run     python error_handling.py        three transfers: one needs three tries, one goes to a closed account, one lacks the money
Watch   dtf list --hub sqlite:///error_handling.db; error_handling.log has each attempt that failed
"""

import asyncio
import logging
import sqlite3
import uuid
from contextlib import closing
from dataclasses import dataclass

from dtf_runtime import (
    NonRetriableError,
    OrchestrationContext,
    OrchestrationFailedError,
    RetryPolicy,
    Saga,
    TaskHubClient,
    TaskHubWorker,
    activity,
    activity_context,
    connect,
    orchestration,
)


@dataclass(frozen=True)
class Transfer:
    source: str
    target: str
    amount: int  # cents


@dataclass(frozen=True)
class Booking:
    account: str
    cents: int  # less than 0: taken from it


class BankIsBusyError(Exception):
    """Passes by itself."""


class AccountClosedError(NonRetriableError):
    """Another try would be told the same."""


class NotEnoughMoneyError(NonRetriableError):
    pass


# == The workflow =================================================================================================

PATIENT = RetryPolicy(max_attempts=5, first_interval=0.1, backoff_coefficient=2.0, max_interval=30.0)


@activity(retry=PATIENT)
def book(booking: Booking) -> None:
    """Once, however often it is tried: the idempotency key is the same for each attempt and after a crash."""
    Bank(BANK).book(booking, activity_context().idempotency_key, attempt=activity_context().attempt)


@orchestration
async def transfer(ctx: OrchestrationContext, order: Transfer) -> str:
    async with Saga() as saga:  # on an error what was registered runs, last in first out, and survives a crash too
        await saga.do(
            book(Booking(order.source, -order.amount)),
            lambda _: book(Booking(order.source, order.amount)),
        )
        await book(Booking(order.target, order.amount))
    return f"{order.amount / 100:.2f} from {order.source} to {order.target}"


# == A bank in a file =============================================================================================

BANK = "error_handling_bank.db"


class Bank:
    def __init__(self, path: str) -> None:
        self.path = path

    def open(self, **accounts: int) -> None:
        """A new bank."""
        with closing(sqlite3.connect(self.path)) as db, db:
            db.executescript(
                "DROP TABLE IF EXISTS account; CREATE TABLE account (name TEXT PRIMARY KEY, cents INTEGER);"
                "DROP TABLE IF EXISTS booking; CREATE TABLE booking (key TEXT PRIMARY KEY, account TEXT, cents INTEGER);"
            )
            db.executemany("INSERT INTO account VALUES (?, ?)", accounts.items())

    def book(self, booking: Booking, key: str, attempt: int) -> None:
        if booking.account == "bea" and attempt < 3:
            raise BankIsBusyError(f"no answer about {booking.account}, attempt {attempt}")
        with closing(sqlite3.connect(self.path)) as db, db:  # one transaction
            found = db.execute("SELECT cents FROM account WHERE name = ?", (booking.account,)).fetchone()
            if found is None:
                raise AccountClosedError(f"{booking.account} has no account here any more")
            new = db.execute(
                "INSERT OR IGNORE INTO booking VALUES (?, ?, ?)", (key, booking.account, booking.cents)
            ).rowcount
            if new and found[0] + booking.cents < 0:
                raise NotEnoughMoneyError(f"{booking.account} has only {found[0] / 100:.2f}")
            if new:
                db.execute("UPDATE account SET cents = cents + ? WHERE name = ?", (booking.cents, booking.account))

    def accounts(self) -> dict[str, int]:
        with closing(sqlite3.connect(self.path)) as db:
            return dict(db.execute("SELECT name, cents FROM account ORDER BY name"))

    def bookings(self, account: str) -> list[int]:
        with closing(sqlite3.connect(self.path)) as db:
            found = db.execute("SELECT cents FROM booking WHERE account = ? ORDER BY rowid", (account,))
            return [cents for (cents,) in found]


# == The program ==================================================================================================

TRANSFERS = [Transfer("ann", "bea", 3_000), Transfer("ann", "closed", 2_000), Transfer("bea", "ann", 90_000)]


async def main() -> None:
    bank = Bank(BANK)
    bank.open(ann=10_000, bea=500)
    service, run = connect("sqlite:///error_handling.db"), uuid.uuid4().hex[:8]
    async with TaskHubWorker(service), TaskHubClient(service) as client:
        for number, order in enumerate(TRANSFERS, 1):
            handle = await client.start(transfer, order, instance_id=f"transfer-{run}-{number}")
            try:
                print(f"done    {await handle.result()}")
            except OrchestrationFailedError as error:
                why = error.failure.inner_failure or error.failure  # what the activity failed with
                print(f"failed  {order.amount / 100:.2f} from {order.source} to {order.target}: {why.message}")
    for name, cents in bank.accounts().items():
        print(f"{name}: {cents / 100:.2f}, booked {bank.bookings(name)}")


if __name__ == "__main__":
    logging.basicConfig(
        filename="error_handling.log", format="%(asctime)s %(levelname)s %(message)s"
    )  # each failed attempt
    asyncio.run(main())
