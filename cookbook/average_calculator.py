"""Average calculator: cut a long list into pieces, sum the pieces at the same time, put the sums together.

Shows   fan-out and fan-in over pieces of the work, results in the order of the calls
Needs   pip install dtf-runtime
Run     python average_calculator.py                the numbers from 1 to 100,000
        python average_calculator.py 3 5 10         these
"""

import asyncio
import sys
from dataclasses import dataclass

from dtf_runtime import OrchestrationContext, activity, orchestration, run

PIECES = 8


@dataclass(frozen=True)
class Sum:
    total: int
    count: int


@activity
def add_up(numbers: list[int]) -> Sum:  # a plain function: it runs in a thread
    return Sum(sum(numbers), len(numbers))


@orchestration
async def average(ctx: OrchestrationContext, numbers: list[int]) -> float:
    size = -(-len(numbers) // PIECES)
    pieces = [numbers[at : at + size] for at in range(0, len(numbers), size)]
    sums = await asyncio.gather(
        *(add_up(piece) for piece in pieces)
    )  # all begun here; each result is kept when it comes
    ctx.set_custom_status(f"{len(sums)} pieces")
    return sum(one.total for one in sums) / sum(one.count for one in sums)


if __name__ == "__main__":
    numbers = [int(text) for text in sys.argv[1:]] or list(range(1, 100_001))
    found = asyncio.run(run(average, numbers, service="sqlite:///average_calculator.db"))
    print(f"The average of {len(numbers):,} numbers is {found:,.2f}")
