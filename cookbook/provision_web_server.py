"""Provision a web server: a machine on EC2 with all that it needs, its page checked over HTTP, and a text when it is up. Or nothing at all.

Shows   a ready sub-orchestration with its live checklist, a saga around it, a health check on durable timers, a text sent once
Needs   pip install 'dtf-runtime[testing]'               for real: pip install 'dtf-runtime[aws,http,twilio]'
Run     python provision_web_server.py                   offline: AWS, Twilio and the server's page are fakes on this machine
        python provision_web_server.py --real --image /aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64 \\
            --role web-role --phone +15551234567         with your AWS credentials and TWILIO_* variables; this costs money
        python provision_web_server.py --real ... --plan what it would do
Watch   dtf show web-server --hub sqlite:///provision_web_server.db
Remove  dtf run suborchestrations.ec2:terminate_ec2 --input '{"instance_id": "i-..."}'
"""

import argparse
import asyncio
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from connectors.aws.ec2 import Rule
from connectors.http import HttpConnection, HttpRequest, request
from connectors.twilio import SendMessage, send_message
from dtf_runtime import (
    InstanceState,
    OrchestrationAlreadyExistsError,
    OrchestrationContext,
    OrchestrationFailedError,
    Saga,
    TaskFailedError,
    TaskHubClient,
    TaskHubWorker,
    connect,
    orchestration,
)
from suborchestrations.ec2 import Server, ServerSpec, TerminateSpec, provision_ec2, terminate_ec2

# == The workflow =================================================================================================


@dataclass(frozen=True)
class Job:
    server: ServerSpec
    phone: str  # who is told; empty: nobody
    page: str = ""  # the address to check; empty: the server's own, over plain HTTP
    patience: float = 600.0  # seconds that the page may take after the server is up


@dataclass(frozen=True)
class Ready:
    server: Server
    page: str
    message_sid: str


@orchestration
async def provision_web_server(ctx: OrchestrationContext, job: Job) -> Ready:
    machine = provision_ec2.options(instance_id=f"{ctx.instance_id}-machine")
    async with Saga() as saga:
        # Waits for the whole machine. If the page never comes, the machine goes again, with all that was made for it.
        server = await saga.do(machine(job.server), undo=lambda made: remove(made, job.server))
        if job.server.plan:
            return Ready(server, "", "")
        page = job.page or f"http://{server.dns_name or server.public_ip or server.private_ip}/"
        ctx.set_custom_status(f"waiting for {page}")
        await until_healthy(page, job.patience)
        ctx.set_custom_status("telling")
        return Ready(server, page, await tell(job.phone, f"{job.server.name} is up: {page}"))


async def until_healthy(page: str, patience: float) -> None:
    """Looks every five seconds; between two looks nothing runs. Raises TimeoutError."""
    async with asyncio.timeout(patience):
        while True:
            try:
                await request.options(retry=None)(HttpRequest(url=page, timeout=10.0))
                return
            except TaskFailedError:  # not yet: no connection, a 503 ...
                await asyncio.sleep(5)


async def tell(phone: str, text: str) -> str:
    if not phone:
        return ""
    return (await send_message(SendMessage(to=phone, body=text))).sid


async def remove(server: Server, spec: ServerSpec) -> None:
    await terminate_ec2(
        TerminateSpec(
            instance_id=server.instance_id,
            dns=spec.dns,
            connection=spec.connection,
            region=spec.region,
            poll_interval=spec.poll_interval,
        )
    )


# == The program ==================================================================================================

HUB = "sqlite:///provision_web_server.db"
LOG = "provision_web_server.log"
NAME = "web-server"  # the instance
MACHINE = f"{NAME}-machine"  # its sub-orchestration, whose checklist is drawn
INSTALL = ["yum install -y nginx", "systemctl enable --now nginx"]
console = Console()


async def main(hub: str, job: Job, connections: Sequence[Any]) -> int:
    service = connect(hub)
    async with TaskHubWorker(service, connections=connections), TaskHubClient(service) as client:
        try:
            handle = await client.start(provision_web_server, job, instance_id=NAME)
        except OrchestrationAlreadyExistsError:  # started earlier: the worker has already taken it up
            handle = client.handle(NAME, Ready)
        result = asyncio.ensure_future(handle.result())
        await follow(client, result)
        try:
            return show(await result, job)
        except OrchestrationFailedError as error:
            console.print(f"[red]Nothing was left behind.[/] {error.failure.message}", soft_wrap=True)
            return 1


async def follow(client: TaskHubClient, until: "asyncio.Future[Any]") -> None:
    """Draws the machine's checklist until the future is done."""
    with Live(console=console, refresh_per_second=10) as live:
        while True:
            state = await client.get_state(MACHINE)
            if state is not None:
                live.update(checklist(state))
            if until.done():
                break
            await asyncio.wait([until], timeout=0.1)
    if not console.is_terminal:
        console.print()


def checklist(state: InstanceState) -> Table:
    marks = {"running": "[yellow]▸[/]", "done": "[green]✓[/]", "failed": "[red]✗[/]", "undone": "[red]↶[/]"}
    table = Table(box=None, show_header=False, padding=(0, 1))
    for step in (state.custom_status or {}).get("steps", ()):
        mark = marks.get(step["state"], "[dim]·[/]")
        table.add_row(mark, Text(step["name"]), Text(step["detail"] or step["state"], style="dim"))
    return table


def show(ready: Ready, job: Job) -> int:
    if job.server.plan:
        table = Table("activity", "input", title="What it would do")
        for call in ready.server.planned:
            table.add_row(call.activity, msgspec.json.encode(call.input).decode())
        console.print(table)
        return 0
    table = Table(show_header=False, title=f"{job.server.name} is up")
    for name in (
        "instance_id",
        "instance_type",
        "zone",
        "public_ip",
        "security_group_id",
        "key_name",
        "instance_profile",
        "allocation_id",
    ):
        table.add_row(name.replace("_", " "), getattr(ready.server, name) or "-")
    table.add_row("page", ready.page)
    table.add_row("text", ready.message_sid or "-")
    table.add_row("costs", ready.server.cost)
    console.print(table)
    return 0


def program() -> int:
    parser = argparse.ArgumentParser(description="A web server on EC2, or nothing.")
    parser.add_argument("--real", action="store_true", help="with your own credentials; this costs money")
    parser.add_argument("--image", default="", help="an AMI's id, or a parameter that holds one")
    parser.add_argument("--type", action="append", dest="types", help="instance type, in order of preference")
    parser.add_argument("--role", default=None, help="an IAM role that EC2 may assume and that lets SSM in")
    parser.add_argument("--phone", default="", help="who is told")
    parser.add_argument("--plan", action="store_true", help="change nothing, say what would be done")
    parser.add_argument("--hub", default=HUB, metavar="URL", help="default: %(default)s")
    parser.add_argument(
        "--demo", action="store_true", help="kill -9 its own worker at the worst moment, and prove that it goes on"
    )
    options = parser.parse_args()
    if options.demo:
        return demo()
    logging.basicConfig(filename=LOG, format="%(asctime)s %(levelname)s %(message)s")
    if options.real:
        spec = wanted(options.image, options.role, options.types or ["t3.micro"], plan=options.plan)
        return asyncio.run(main(options.hub, Job(spec, options.phone), []))
    with offline() as world:
        job = world.job(plan=options.plan)
        return asyncio.run(main(options.hub, job, world.connections()))


def wanted(image: str, role: str | None, types: list[str], **changes: Any) -> ServerSpec:
    return ServerSpec(
        name="web",
        image=image,
        instance_types=types,
        rules=[Rule(from_port=80, cidr="0.0.0.0/0"), Rule(from_port=443, cidr="0.0.0.0/0")],
        role=role,
        bootstrap=INSTALL if role else [],
        elastic_ip=True,
        **changes,
    )


def demo() -> int:
    here = Path(__file__).resolve()
    if not here.with_name("_provision_web_server_demo.py").exists():
        console.print("The demo is not part of the copied recipe. In a checkout of the project: make demo")
        return 2
    return subprocess.call([sys.executable, "-m", "cookbook._provision_web_server_demo"], cwd=here.parents[1])


# == The fakes ====================================================================================================

PHONE = "+15551234567"
IMAGE = "ami-03cf127a"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIEhB0GeJvzGwTSKqLYVrOKwGUGqZ0GgYkqPtSAVCzBH you@example.org"


class World:
    """AWS, Twilio and the page of the server to be, on loopback."""

    def __init__(self, aws: Any, twilio: Any, page: "Page") -> None:
        self.aws, self.twilio, self.page = aws, twilio, page

    def job(self, **changes: Any) -> Job:
        spec = wanted(IMAGE, "web-role", ["m5.large", "t3.micro"], public_key=KEY, poll_interval=0.5, **changes)
        return Job(spec, PHONE, page=self.page.url, patience=60.0)

    def connections(self) -> list[Any]:
        return [self.aws.connection(), self.twilio.connection(), HttpConnection(allow_hosts=("127.0.0.1",))]


class Page(ThreadingHTTPServer):
    """503 until the bootstrap has run on the server, 200 from then on."""

    daemon_threads = True

    def __init__(self, aws: Any) -> None:
        super().__init__(("127.0.0.1", 0), _Visitor)
        self.aws = aws
        self.served = 0
        self.url = f"http://127.0.0.1:{self.server_port}/"


class _Visitor(BaseHTTPRequestHandler):
    server: Page

    def do_GET(self) -> None:
        is_up = self.server.aws.count("ssm:SendCommand") > 0
        self.server.served += is_up
        body = b"<h1>It works</h1>\n" if is_up else b"not yet\n"
        self.send_response(200 if is_up else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def offline() -> Iterator[World]:
    from connectors.aws.iam import CreateRole, create_role, trust
    from connectors.aws.testing import AwsServer
    from connectors.core import using
    from connectors.twilio.testing import FakeTwilio

    with AwsServer() as aws, FakeTwilio() as twilio:
        with using(aws.connection()):
            create_role.fn(CreateRole(name="web-role", trust_policy=trust("ec2.amazonaws.com")))
        aws.no_capacity(instance_type="m5.large")  # so that it has to fall back to the next type
        page = Page(aws)
        threading.Thread(target=page.serve_forever, daemon=True).start()
        try:
            yield World(aws, twilio, page)
        finally:
            page.shutdown()
            page.server_close()


if __name__ == "__main__":
    sys.exit(program())
