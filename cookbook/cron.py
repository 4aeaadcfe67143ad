"""Cron: a job at fixed times, for years. Kill it, and it goes on with the next time; nothing runs twice.

Shows   an eternal orchestration by continue_as_new, durable timers that don't drift, times that were missed, an event that ends it
Needs   pip install dtf-runtime
Run     python cron.py                                     every half a second, five times, into cron.log
        python cron.py --every 3600 --times 0              each hour on the hour, until it is told to stop
        python cron.py --stop                              tells it, from another terminal
        dtf raise cron stop --hub sqlite:///cron.db        does the same
"""

import argparse
import asyncio
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from dtf_runtime import (
    OrchestrationAlreadyExistsError,
    OrchestrationContext,
    OrchestrationStatus,
    TaskHubClient,
    TaskHubWorker,
    activity,
    connect,
    orchestration,
)

# == The workflow =================================================================================================

PER_EXECUTION = 3  # so many, then with a new and empty history; a hundred would do as well


@dataclass(frozen=True)
class Schedule:
    every: float  # seconds, counted from midnight of 1 January 1970 UTC: 3600 is on the hour
    times: int  # 0: until the event
    log: str
    done: int = 0
    due: datetime | None = None


@orchestration
async def cron(ctx: OrchestrationContext, schedule: Schedule) -> int:
    """How often it ran."""
    for _ in range(PER_EXECUTION):
        schedule = replace(schedule, due=next_time(schedule, ctx.now()))
        assert schedule.due
        ctx.set_custom_status({"done": schedule.done, "next": schedule.due.isoformat()})
        if await is_told_to_stop(ctx, schedule.due):
            return schedule.done
        await job(schedule.log, schedule.done + 1, schedule.due)
        schedule = replace(schedule, done=schedule.done + 1)
        if schedule.done == schedule.times:
            return schedule.done
    ctx.continue_as_new(schedule)  # an event that nobody has read yet comes along


def next_time(schedule: Schedule, now: datetime) -> datetime:
    """The first one that is neither over nor done: after a long night the job runs once, not a hundred times."""
    first = datetime(1970, 1, 1, tzinfo=UTC)
    after = max(now, schedule.due) if schedule.due else now
    return first + timedelta(seconds=((after - first) // timedelta(seconds=schedule.every) + 1) * schedule.every)


async def is_told_to_stop(ctx: OrchestrationContext, until: datetime) -> bool:
    try:
        async with asyncio.timeout((until - ctx.now()).total_seconds()):  # the timer is in the database
            await ctx.wait_for_event("stop")
    except TimeoutError:
        return False
    return True


@activity
def job(log: str, number: int, due: datetime) -> None:
    """Your job. After a crash it may be called again with the same number, so it looks what is there."""
    with open(log, "a+", encoding="utf-8") as file:
        file.seek(0)
        if not any(line.startswith(f"{number} ") for line in file):
            file.write(f"{number} {due.isoformat()}\n")


# == The program ==================================================================================================

NAME = "cron"
OVER = (
    OrchestrationStatus.COMPLETED,
    OrchestrationStatus.FAILED,
    OrchestrationStatus.CANCELLED,
    OrchestrationStatus.TERMINATED,
)


async def main(options: argparse.Namespace) -> None:
    service = connect(options.hub)
    async with TaskHubClient(service) as client:
        if options.stop:
            await client.raise_event(NAME, "stop")
            print("Told to stop.")
            return
        async with TaskHubWorker(service):
            try:
                schedule = Schedule(options.every, options.times, options.log)
                await client.start(cron, schedule, instance_id=NAME, reuse=OVER)
                print(f"Every {options.every:g} s, into {options.log}", flush=True)
            except OrchestrationAlreadyExistsError:
                print("Goes on.", flush=True)
            print(f"Ran {await client.handle(NAME, int).result()} times.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A job at fixed times.")
    parser.add_argument("--every", type=float, default=0.5, metavar="SECONDS", help="default: %(default)g")
    parser.add_argument(
        "--times", type=int, default=5, metavar="N", help="0: until it is stopped; default: %(default)s"
    )
    parser.add_argument("--log", type=os.path.abspath, default="cron.log", metavar="FILE", help="default: %(default)s")
    parser.add_argument("--stop", action="store_true", help="end the one that runs")
    parser.add_argument("--hub", default="sqlite:///cron.db", metavar="URL", help="default: %(default)s")
    asyncio.run(main(parser.parse_args()))
