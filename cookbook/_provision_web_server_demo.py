"""The kill -9 demo of `provision_web_server`: `python -m cookbook.provision_web_server --demo`, which is `make demo`.

AWS and Twilio are fakes in processes and threads that outlive the worker. It is killed at the worst moment there is: AWS has launched the
machine, and the answer that says so has not arrived. Another worker goes on. Whether that went well is read from the fakes' own logs; the
database under test is not asked.
"""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.table import Table

from connectors.aws.testing import AwsServer
from connectors.http import HttpConnection
from connectors.twilio import TwilioConnection
from cookbook.provision_web_server import (
    MACHINE,
    NAME,
    PHONE,
    Job,
    Ready,
    World,
    console,
    follow,
    offline,
    provision_web_server,
    show,
)
from dtf_runtime import TaskHubClient, TaskHubWorker

DEADLINE = 55.0  # seconds for all of it


async def demo(folder: Path) -> int:
    hub = f"sqlite:///{folder / 'hub.db'}"
    console.rule("[bold]A machine on EC2, provisioned across kill -9")
    with offline() as world:
        async with asyncio.timeout(DEADLINE), TaskHubClient(hub) as client:
            job = world.job()
            handle = await client.start(provision_web_server, job, instance_id=NAME)
            await run_until_killed(client, world, hub, folder)
            with worker(hub, folder, world) as second:
                console.print(f"Worker {second.pid} takes over.")
                result = asyncio.ensure_future(handle.result())
                await follow(client, result)
                ready = await result
        show(ready, job)
        return tell(world, ready, job)


async def run_until_killed(client: TaskHubClient, world: World, hub: str, folder: Path) -> None:
    """Until AWS has launched the machine and holds the answer back."""
    world.aws.set(profile=0.0)  # the first request is to be the one that launches
    world.aws.capacity_back()
    world.aws.hold("ec2:RunInstances")
    with worker(hub, folder, world) as doomed:
        console.print(f"Worker {doomed.pid} starts.")
        held = asyncio.ensure_future(asyncio.to_thread(world.aws.wait_held))
        await follow(client, held)
        await held
        doomed.kill()
        doomed.wait()
    world.aws.release()
    if sys.platform != "win32" and doomed.returncode != -signal.SIGKILL:
        raise RuntimeError(f"the worker was to be killed, but ended with exit code {doomed.returncode}")
    state = await client.get_state(MACHINE)
    assert state is not None
    steps = (state.custom_status or {})["steps"]
    done = sum(step["state"] in ("done", "skipped") for step in steps)
    launched = world.aws.count("ec2:RunInstances")
    console.print(
        f"[bold red]kill -9 {doomed.pid}[/] after step {done} of {len(steps)}: AWS has launched {launched} machine, "
        "and nobody heard of it."
    )


def tell(world: World, ready: Ready, job: Job) -> int:
    """What AWS and Twilio say. Gives the exit code."""
    expected = {
        "ec2:CreateSecurityGroup": "security group",
        "ec2:ImportKeyPair": "key pair",
        "iam:CreateInstanceProfile": "instance profile",
        "ec2:RunInstances": "machine",
        "ssm:SendCommand": "bootstrap",
        "ec2:AllocateAddress": "address",
    }
    table = Table("what", "asked for", "happened", title="What AWS and Twilio did, from their own logs")
    problems = []
    calls = world.aws.calls
    for request, what in expected.items():
        asked, happened = sum(call.name == request for call in calls), world.aws.count(request)
        table.add_row(what, str(asked), str(happened))
        if happened != 1:
            problems.append(f"{what}: happened {happened} times")
    texts = [one for one in world.twilio.messages if one.to == PHONE]
    table.add_row(f"text to {PHONE}", str(len(texts)), str(len(texts)))
    if [one.sid for one in texts] != [ready.message_sid]:
        problems.append(f"{len(texts)} texts were sent")
    if sum(call.name == "ec2:RunInstances" for call in calls) < 2:
        problems.append("the launch was not asked for again after the kill, so nothing was proved")
    if not world.page.served:
        problems.append("nobody looked at the page")
    console.print(table)
    for problem in problems:
        console.print(f"[bold red]✗[/] {problem}")
    if not problems:
        console.print("[bold green]✓[/] Killed in the middle of the launch: one machine, one of everything, one text.")
    return 1 if problems else 0


# -- The worker, a process of its own -----------------------------------------------------------------------------


@contextmanager
def worker(hub: str, folder: Path, world: World) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-m", "cookbook._provision_web_server_demo", "--worker", hub]
    twilio: TwilioConnection = world.twilio.connection()
    where = {
        "DEMO_AWS": world.aws.endpoint_url,
        "DTF_CONNECTION_TWILIO_DEFAULT_ACCOUNT_SID": twilio.account_sid,
        "DTF_CONNECTION_TWILIO_DEFAULT_AUTH_TOKEN": twilio.auth_token.reveal() if twilio.auth_token else "",
        "DTF_CONNECTION_TWILIO_DEFAULT_BASE_URL": twilio.base_url,
        "DTF_CONNECTION_TWILIO_DEFAULT_SENDER": twilio.sender,
        "DTF_CONNECTION_TWILIO_DEFAULT_LEDGER": str(twilio.ledger_path),
    }
    with (
        open(folder / "worker.log", "ab") as log,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=os.environ | where) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def work(hub: str) -> None:
    def end_with_parent() -> None:
        sys.stdin.read()  # its end is that of the program that started this one, however it ended
        os._exit(0)

    threading.Thread(target=end_with_parent, daemon=True).start()
    connections: list[Any] = [
        AwsServer.at(os.environ["DEMO_AWS"]).connection(),
        HttpConnection(allow_hosts=("127.0.0.1",)),
    ]
    asyncio.run(TaskHubWorker(hub, connections=connections).run())


def main() -> int:
    if sys.argv[1:2] == ["--worker"]:
        work(sys.argv[2])
        return 0
    with tempfile.TemporaryDirectory(prefix="dtf-demo-") as name:
        folder = Path(name)
        try:
            return asyncio.run(demo(folder))
        except Exception as error:
            log = folder / "worker.log"
            console.print(f"[bold red]✗[/] the demo broke off: {error!r}")
            console.print(log.read_text(encoding="utf-8", errors="replace") if log.exists() else "", markup=False)
            return 1


if __name__ == "__main__":
    sys.exit(main())
