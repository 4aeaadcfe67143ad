"""Nightly stop and start: servers on EC2 that nobody needs at night are stopped in the evening and started in the morning, until you say stop.

Shows   an eternal orchestration by continue_as_new, ready sub-orchestrations as children, times in a time zone, an event that ends it
Needs   pip install 'dtf-runtime[testing]'               for real: pip install 'dtf-runtime[aws]'
Run     python nightly_stop_start.py                     offline: AWS is a fake on this machine, and a day has eight seconds
        python nightly_stop_start.py --instance i-0abc --instance i-0def --stop-at 20:00 --start-at 07:00 --zone Europe/Berlin
        after a crash, the same line goes on: with what should be now, however many changes were missed
        python nightly_stop_start.py --end               from another terminal: what is stopped is started, and that was it
Watch   dtf show nights --hub sqlite:///nightly_stop_start.db
"""

import argparse
import asyncio
import logging
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from itertools import groupby
from typing import Any, Literal
from zoneinfo import ZoneInfo

from connectors.aws.client import aws_call
from dtf_runtime import (
    OrchestrationAlreadyExistsError,
    OrchestrationContext,
    OrchestrationHandle,
    OrchestrationStatus,
    SubOrchestrationFailedError,
    TaskHubClient,
    TaskHubWorker,
    activity,
    connect,
    orchestration,
)
from suborchestrations.ec2 import PowerSpec, start_ec2, stop_ec2

# == The workflow =================================================================================================

PER_EXECUTION = 4  # changes, then with a new and empty history; a hundred would do as well
DAY = 86_400.0
Power = Literal["running", "stopped"]


@dataclass(frozen=True)
class Schedule:
    instances: list[str]
    stop_at: str  # "20:00"
    start_at: str
    zone: str = "UTC"
    region: str | None = None  # None: the connection's
    most: int = 0  # nights; 0: until the event
    poll_interval: float = 15.0  # seconds between two looks at a server that stops or starts
    day: float = DAY  # seconds; another one is for trials: its days begin anywhere, and know no zones
    # What has been done so far.
    state: Power | None = None
    nights: int = 0
    problems: list[str] = field(default_factory=list)  # of the last change


@dataclass(frozen=True)
class Due:
    state: Power  # that should be now
    until: datetime


@dataclass(frozen=True)
class Ended:
    nights: int
    problems: list[str]


@orchestration
async def nights(ctx: OrchestrationContext, plan: Schedule) -> Ended:
    for _ in range(PER_EXECUTION):
        now = await due(plan, ctx.now())
        plan = await become(plan, now.state)
        ctx.set_custom_status(
            {"state": plan.state, "until": now.until.isoformat(), "nights": plan.nights, "problems": plan.problems}
        )
        if plan.most and plan.nights >= plan.most:
            return Ended(plan.nights, plan.problems)
        if await is_told_to_end(ctx, now.until):
            plan = await become(plan, "running")
            return Ended(plan.nights, plan.problems)
    ctx.continue_as_new(plan)  # an event that nobody has read yet comes along


async def become(plan: Schedule, state: Power) -> Schedule:
    """All servers at once. One that can't is a problem that is told, and tried again at the next change."""
    if plan.state == state:
        return plan
    told = await asyncio.gather(*(switch(plan, one, state) for one in plan.instances))
    is_morning = (plan.state, state) == ("stopped", "running")
    return replace(
        plan, state=state, nights=plan.nights + is_morning, problems=[problem for problem in told if problem]
    )


async def switch(plan: Schedule, instance: str, state: Power) -> str:
    spec = PowerSpec(instance_id=instance, region=plan.region, poll_interval=plan.poll_interval)
    try:
        await (start_ec2 if state == "running" else stop_ec2)(spec)  # a child each; content when it is so already
    except SubOrchestrationFailedError as error:
        return error.failure.message
    return ""


async def is_told_to_end(ctx: OrchestrationContext, until: datetime) -> bool:
    try:
        async with asyncio.timeout(max((until - ctx.now()).total_seconds(), 0.0)):  # the timer is in the database
            await ctx.wait_for_event("end")
    except TimeoutError:
        return False
    return True


@activity
def due(plan: Schedule, now: datetime) -> Due:
    """An activity, since the rules of time zones are files, and change: what was decided once stays decided."""
    changes = sorted(changes_around(plan, now))
    return Due(
        state=[state for at, state in changes if at <= now][-1],
        until=next(at for at, _ in changes if at > now),
    )


def changes_around(plan: Schedule, now: datetime) -> Iterable[tuple[datetime, Power]]:
    """From the day before to the day after the next."""
    times: list[tuple[time, Power]] = [
        (time.fromisoformat(plan.stop_at), "stopped"),
        (time.fromisoformat(plan.start_at), "running"),
    ]
    zone, length = ZoneInfo(plan.zone), timedelta(seconds=plan.day)
    first = datetime(1970, 1, 1, tzinfo=UTC)
    for day in range(-1, 3):
        for at, state in times:
            if plan.day == DAY:
                date = now.astimezone(zone).date() + timedelta(days=day)
                yield datetime.combine(date, at, zone).astimezone(UTC), state
            else:
                part = timedelta(hours=at.hour, minutes=at.minute) / timedelta(days=1)
                yield first + ((now - first) // length + day + part) * length, state


# == The program ==================================================================================================

HUB = "sqlite:///nightly_stop_start.db"
NAME = "nights"
TRIAL = "trial"  # its instance: the servers of an earlier one are gone with their fake
TRIAL_NIGHTS = 2
LIVE = (OrchestrationStatus.PENDING, OrchestrationStatus.RUNNING, OrchestrationStatus.SUSPENDED)
OVER = (
    OrchestrationStatus.COMPLETED,
    OrchestrationStatus.FAILED,
    OrchestrationStatus.CANCELLED,
    OrchestrationStatus.TERMINATED,
)


async def main(hub: str, plan: Schedule, connections: Sequence[Any]) -> int:
    """With connections it is a trial, which is ended as you would end it."""
    service, name = connect(hub), TRIAL if connections else NAME
    async with TaskHubClient(service) as client:
        try:
            reuse = (*OVER, *LIVE) if connections else OVER
            handle = await client.start(nights, plan, instance_id=name, reuse=reuse)
        except OrchestrationAlreadyExistsError:
            handle = client.handle(name, Ended)
            print("Goes on.", flush=True)
        async with TaskHubWorker(service, connections=connections):
            await follow(client, handle, TRIAL_NIGHTS if connections else 0)
            ended = await handle.result()
    print(f"{ended.nights} nights; all are started" if not ended.problems else f"Problems: {ended.problems}")
    return 1 if ended.problems else 0


async def follow(client: TaskHubClient, handle: OrchestrationHandle[Ended], nights: int) -> None:
    """Prints each change, until it has ended. After so many nights it is told to end."""
    seen, told = None, False
    while True:
        state = await handle.state()
        status = state.custom_status
        if status and status != seen:
            seen = status
            print(
                f"{status['state']} until {status['until']}; nights: {status['nights']}",
                *status["problems"],
                flush=True,
            )
        if state.status in OVER:
            return
        if nights and not told and status and status["nights"] >= nights:
            told = True
            await client.raise_event(handle.instance_id, "end")
        await asyncio.sleep(0.1)


async def end(hub: str) -> int:
    async with TaskHubClient(hub) as client:
        await client.raise_event(NAME, "end")
    print("Told to end.")
    return 0


def program() -> int:
    parser = argparse.ArgumentParser(description="Stop servers in the evening, start them in the morning.")
    parser.add_argument("--instance", action="append", metavar="ID", help="a server; default: two on a fake AWS")
    parser.add_argument("--stop-at", default="20:00", metavar="HH:MM", help="default: %(default)s")
    parser.add_argument("--start-at", default="07:00", metavar="HH:MM", help="default: %(default)s")
    parser.add_argument("--zone", default="UTC", help="of these times, such as Europe/Berlin; default: %(default)s")
    parser.add_argument("--region", help="default: as the AWS command line has it")
    parser.add_argument("--nights", type=int, default=0, metavar="N", help="0, the default: until it is told to end")
    parser.add_argument("--end", action="store_true", help="end the one that runs")
    parser.add_argument("--hub", default=HUB, metavar="URL", help="default: %(default)s")
    parser.add_argument("--day", type=float, metavar="SECONDS", help=argparse.SUPPRESS)
    parser.add_argument("--poll", type=float, metavar="SECONDS", help=argparse.SUPPRESS)
    options = parser.parse_args()
    logging.basicConfig(filename="nightly_stop_start.log", format="%(asctime)s %(levelname)s %(message)s")
    if options.end:
        return asyncio.run(end(options.hub))
    if options.stop_at == options.start_at:
        parser.error("--stop-at and --start-at are the same")
    plan = Schedule(
        instances=options.instance or [],
        stop_at=options.stop_at,
        start_at=options.start_at,
        zone=ZoneInfo(options.zone).key,
        region=options.region,
        most=options.nights,
        poll_interval=options.poll or 15.0,
        day=options.day or DAY,
    )
    return asyncio.run(main(options.hub, plan, [])) if options.instance else trial(options.hub, plan)


# == A trial: two servers on a fake of AWS ========================================================================

IMAGE = "ami-03cf127a"


def trial(hub: str, plan: Schedule) -> int:
    from connectors.aws.testing import AwsServer
    from connectors.core import using

    with AwsServer() as aws:
        with using(aws.connection()):
            servers = launch(2)
        code = asyncio.run(main(hub, replace(plan, instances=servers, poll_interval=0.1, day=8.0), [aws.connection()]))
        with using(aws.connection()):
            print(f"AWS says: {states(servers)}")
            assert set(states(servers).values()) == {"running"}
        for server in servers:
            changes = switched(aws, server)
            assert changes == ["stopped", "running"] * (len(changes) // 2) and len(changes) >= 2 * TRIAL_NIGHTS
    return code


def launch(count: int) -> list[str]:
    """Where the connection `default` leads. Elsewhere you have them already."""
    wanted = {"ImageId": IMAGE, "InstanceType": "t3.micro", "MinCount": count, "MaxCount": count}
    servers = [one["InstanceId"] for one in aws_call("ec2", "run_instances", wanted)["Instances"]]
    while set(states(servers).values()) != {"running"}:  # the fake's clock moves by a second with each look
        pass
    return servers


def states(servers: list[str]) -> dict[str, str]:
    found = aws_call("ec2", "describe_instances", {"InstanceIds": servers})["Reservations"]
    return {one["InstanceId"]: one["State"]["Name"] for group in found for one in group["Instances"]}


def switched(aws: Any, server: str) -> list[str]:
    """What the fake was told to do with it, by its own log; what was told again after a crash counts once."""
    names = {"StopInstances": "stopped", "StartInstances": "running"}
    done = [
        names[call.operation]
        for call in aws.calls
        if call.executed and call.operation in names and server in call.parameters["InstanceId"]
    ]
    return [state for state, _ in groupby(done)]


if __name__ == "__main__":
    sys.exit(program())
