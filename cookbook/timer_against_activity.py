"""Timer against activity: ask suppliers for a price, wait a second for each, and go on with the list price when a timer is first.

Shows   asyncio.timeout as a durable timer, an activity that is told to stop, the same race for many at once
Needs   pip install dtf-runtime
Run     python timer_against_activity.py
        python timer_against_activity.py --patience 3        long enough for the slow one
"""

import argparse
import asyncio
from dataclasses import dataclass

from dtf_runtime import OrchestrationContext, activity, orchestration, run


@dataclass(frozen=True)
class Supplier:
    name: str
    price: float
    seconds: float  # until it answers


@dataclass(frozen=True)
class Enquiry:
    suppliers: list[Supplier]
    list_price: float
    patience: float  # seconds


@activity
async def ask(supplier: Supplier) -> float:
    await asyncio.sleep(supplier.seconds)  # your call of a slow service
    return supplier.price


@orchestration
async def best_price(ctx: OrchestrationContext, enquiry: Enquiry) -> list[str]:
    async def price_of(supplier: Supplier) -> str:
        try:
            async with asyncio.timeout(enquiry.patience):  # a timer in the database: it survives a crash too
                return f"{supplier.name}: {await ask(supplier):.2f}"
        except TimeoutError:  # the activity has been told; what it may still answer is dropped
            return f"{supplier.name}: no answer in {enquiry.patience:g} s, so the list price, {enquiry.list_price:.2f}"

    return await asyncio.gather(*(price_of(supplier) for supplier in enquiry.suppliers))


SUPPLIERS = [Supplier("quick", 12.50, 0.0), Supplier("slow", 11.90, 2.0)]

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A race between a timer and an activity.")
    parser.add_argument("--patience", type=float, default=1.0, metavar="SECONDS", help="default: %(default)g")
    enquiry = Enquiry(SUPPLIERS, list_price=15.0, patience=parser.parse_args().patience)
    print(*asyncio.run(run(best_price, enquiry, service="sqlite:///timer_against_activity.db")), sep="\n")
