"""Greetings: the smallest workflow. Two activities, many calls at once, one result that survives a crash.

Shows   an activity, an orchestration, fan-out and fan-in with asyncio.gather
Needs   pip install dtf-runtime
Run     python greetings.py
"""

import asyncio

from dtf_runtime import OrchestrationContext, activity, orchestration, run


@activity
async def greet(name: str) -> str:
    return f"Hello, {name}!"


@activity
def in_one_line(greetings: list[str]) -> str:  # a plain function is fine too: it runs in a thread
    return " ".join(greetings)


@orchestration
async def greetings(ctx: OrchestrationContext, names: list[str]) -> str:
    greeted = await asyncio.gather(*(greet(name) for name in names))
    return await in_one_line(greeted)


if __name__ == "__main__":
    print(asyncio.run(run(greetings, ["Tokyo", "Seattle", "London"])))  # its progress is kept in ./dtf.db
