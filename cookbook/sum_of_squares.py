"""Sum of squares of a list that has lists in it: an orchestration that calls itself for each of them.

Shows   recursive children: every inner list is an instance of its own, and all of them work at the same time
Needs   pip install dtf-runtime
Run     python sum_of_squares.py                            [1, [2, [3, 4], 5], 6]
        python sum_of_squares.py '[[1, 2], [[3]]]'
Watch   dtf list --hub sqlite:///sum_of_squares.db          the children are there too
"""

import asyncio
import json
import sys
from typing import Any

from dtf_runtime import OrchestrationContext, activity, orchestration, run


@activity
def square(number: int) -> int:
    return number * number


@orchestration
async def sum_of_squares(ctx: OrchestrationContext, items: list[Any]) -> int:
    """`items`: whole numbers and lists of the same kind, as deep as you like."""
    parts = [sum_of_squares(item) if isinstance(item, list) else square(item) for item in items]
    return sum(await asyncio.gather(*parts))


if __name__ == "__main__":
    items = json.loads(sys.argv[1]) if sys.argv[1:] else [1, [2, [3, 4], 5], 6]
    print(asyncio.run(run(sum_of_squares, items, service="sqlite:///sum_of_squares.db")))
