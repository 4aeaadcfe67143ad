"""Launch announcement: a page post, a thread on X, a card in Teams that links to both. Kill it anywhere: it goes on, and nothing is posted twice.

Shows   ready orchestrations as children, three services without idempotency keys, steps that go on in the middle, progress as a checklist
Needs   pip install 'dtf-runtime[facebook,teams,twitter]'
Run     python launch_announcement.py                              a trial: X, Facebook and Teams on this machine, answers that get lost
        python launch_announcement.py --version 2.0 --link https://example.com/2.0       with credentials it posts for real
        python launch_announcement.py --id launch-2.0 ...          after a crash, the same line goes on where it stood
Watch   dtf show launch-2.0 --hub sqlite:///launch_announcement.db from another terminal

Credentials come from the environment, DTF_CONNECTION_TWITTER_DEFAULT_CONSUMER_KEY and so on: `dtf connectors describe twitter`.
X bills by use, a post $0.015 and one with a link $0.20, so only one post of the thread has it.
"""

import argparse
import asyncio
import logging
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from connectors.core import Connection, ConnectionMissing, resolve
from connectors.facebook import FacebookConnection, PublishPost, publish_post
from connectors.facebook.testing import FakeFacebook
from connectors.teams import Link, SendMessage, TeamsConnection, send_message
from connectors.teams.testing import FakeTeams
from connectors.twitter import PostThread, TwitterConnection, post_thread
from connectors.twitter.testing import FakeTwitter
from dtf_runtime import (
    InstanceState,
    OrchestrationAlreadyExistsError,
    OrchestrationContext,
    OrchestrationHandle,
    TaskHubClient,
    TaskHubWorker,
    connect,
    orchestration,
)

# == The workflow =================================================================================================


@dataclass(frozen=True)
class Launch:
    product: str
    version: str
    link: str
    news: list[str]  # one a post of the thread

    @property
    def headline(self) -> str:
        return f"{self.product} {self.version} is out"

    @property
    def thread(self) -> tuple[str, ...]:
        return (f"{self.headline}. What is new:", *self.news, f"Get it here: {self.link}")

    @property
    def story(self) -> str:
        return "\n\n".join([self.headline, *self.news])


@dataclass(frozen=True)
class Announced:
    page_post: str
    thread: list[str]
    card: str


@orchestration
async def announce(ctx: OrchestrationContext, launch: Launch) -> Announced:
    """The page first: it can still be taken back. Then X, then the team is told, with links to what is really there."""
    steps = Steps(ctx, ["facebook", "x", "teams"])

    steps.mark("facebook", "running")
    page_post = await publish_post(
        PublishPost(message=launch.story, link=launch.link)
    )  # a draft, then the draft made public
    steps.mark("facebook", "done", page_post.url)

    steps.mark("x", "running", f"{len(launch.thread)} posts")
    thread = await post_thread(
        PostThread(texts=launch.thread)
    )  # a child that goes on with the first post that is missing
    steps.mark("x", "done", f"{len(thread.ids)} posts, {thread.replayed} of them found after a lost answer")

    steps.mark("teams", "running")
    card = await send_message(
        SendMessage(
            title=launch.headline,
            text="It is announced.",
            facts={"Posts on X": str(len(thread.ids))},
            buttons=(
                Link(title="Facebook", url=page_post.url),
                Link(title="X", url=f"https://x.com/i/status/{thread.ids[0]}"),
            ),
        )
    )
    steps.mark("teams", "done", f"ref {card.key}")
    return Announced(page_post.id, list(thread.ids), card.key)


class Steps:
    """The progress, as a custom status that `dtf show` draws as a checklist."""

    def __init__(self, ctx: OrchestrationContext, names: list[str]) -> None:
        self._ctx = ctx
        self._steps = {name: {"name": name, "state": "pending", "detail": ""} for name in names}
        ctx.set_custom_status({"steps": list(self._steps.values())})

    def mark(self, name: str, state: str, detail: str = "") -> None:
        self._steps[name].update(state=state, detail=detail)
        self._ctx.set_custom_status({"steps": list(self._steps.values())})


# == The program ==================================================================================================

HUB = "sqlite:///launch_announcement.db"
LOG = "launch_announcement.log"  # what the worker has to say, such as why an attempt failed
NEWS = ["It survives kill -9.", "It posts once, even when X & Facebook forget to say so.", "It is as fast as before."]
CONNECTIONS: tuple[type[Connection], ...] = (FacebookConnection, TwitterConnection, TeamsConnection)
console = Console()


async def main(launch: Launch, hub: str, instance_id: str | None, connections: tuple[Connection, ...]) -> Announced:
    service = connect(hub)
    async with TaskHubWorker(service, connections=connections), TaskHubClient(service) as client:
        try:
            handle = await client.start(announce, launch, instance_id=instance_id)
        except OrchestrationAlreadyExistsError:  # started earlier: the worker has already taken it up
            assert instance_id is not None
            handle = client.handle(instance_id, Announced)
        console.print(f"Instance [bold]{handle.instance_id}[/] in {hub}", soft_wrap=True)
        await follow(handle)
        return await handle.result()


async def follow(handle: OrchestrationHandle[Any]) -> None:
    """Draws the checklist until the instance has finished."""
    with Live(console=console, refresh_per_second=10) as live:
        while True:
            state = await handle.state()
            live.update(checklist(state))
            if state.completed_at:
                break
            await asyncio.sleep(0.05)
    if not console.is_terminal:
        console.print()


def checklist(state: InstanceState) -> Table:
    marks = {"running": "[yellow]▸[/]", "done": "[green]✓[/]", "failed": "[red]✗[/]"}
    table = Table(box=None, show_header=False, padding=(0, 1))
    for step in (state.custom_status or {}).get("steps", ()):
        table.add_row(marks.get(step["state"], "[dim]·[/]"), Text(step["name"]), Text(step["detail"], style="dim"))
    return table


def missing_connections() -> list[str]:
    """Which of the three services have no credentials here."""
    missing = []
    for kind in CONNECTIONS:
        try:
            resolve(kind)
        except ConnectionMissing:
            missing.append(kind.connector)
    return missing


def command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Announce a release on Facebook, X and Teams.")
    parser.add_argument("--product", default="Example", help="default: %(default)s")
    parser.add_argument("--version", default="2.0", help="default: %(default)s")
    parser.add_argument("--link", default="https://example.com/launch", metavar="URL", help="default: %(default)s")
    parser.add_argument("--news", action="append", metavar="TEXT", help="one post of the thread; give it several times")
    parser.add_argument("--id", metavar="NAME", help="the instance; one that exists goes on where it stood")
    parser.add_argument("--hub", default=HUB, metavar="URL", help="default: %(default)s")
    parser.add_argument("--offline", action="store_true", help="the trial, even where there are credentials")
    return parser.parse_args()


def program() -> int:
    options = command_line()
    logging.basicConfig(filename=LOG, format="%(asctime)s %(levelname)s %(message)s")
    launch = Launch(options.product, options.version, options.link, options.news or NEWS)
    missing = missing_connections()
    if options.offline or missing:
        if missing and not options.offline:
            console.print(f"No credentials for {', '.join(missing)}, so this is a trial.")
        return trial(launch)
    announced = asyncio.run(main(launch, options.hub, options.id, ()))
    console.print(f"[green]Announced:[/] {len(announced.thread)} posts, {announced.page_post}, ref {announced.card}")
    return 0


# == A trial: the three services on this machine, and the worst day they can have ==================================


@dataclass(frozen=True)
class Services:
    facebook: FakeFacebook
    x: FakeTwitter
    teams: FakeTeams

    @property
    def connections(self) -> tuple[Connection, ...]:
        return self.facebook.connection(), self.x.connection(), self.teams.connection()

    def misbehave(self) -> None:
        """Each does its work once and does not say so."""
        self.facebook.cut("half", method="POST", path="/feed")
        self.x.cut("lose", method="POST", path="/2/tweets", after=1)
        self.teams.cut("502")

    def check(self, launch: Launch, announced: Announced) -> None:
        """What is there, as the services say. Raises AssertionError."""
        assert self.facebook.texts() == [launch.story]
        assert [post.id for post in self.facebook.visible()] == [announced.page_post]
        assert self.x.thread() == list(launch.thread)
        assert list(self.x.posts) == announced.thread
        assert self.teams.texts() == ["It is announced."]
        assert self.teams.keys() == [announced.card]
        assert self.teams.buttons()["Facebook"].endswith(announced.page_post)


@contextmanager
def services() -> Iterator[Services]:
    with FakeFacebook() as facebook, FakeTwitter() as x, FakeTeams(deduplicates=True) as teams:
        yield Services(facebook, x, teams)


def trial(launch: Launch) -> int:
    with services() as running, tempfile.TemporaryDirectory() as folder:
        running.misbehave()
        announced = asyncio.run(main(launch, f"sqlite:///{folder}/trial.db", "trial", running.connections))
        running.check(launch, announced)
    for text in launch.thread:
        console.print(f"  [dim]x[/] {text}", highlight=False)
    console.print("[green]Checked:[/] one page post, one thread, one card, though each service lost an answer.")
    return 0


if __name__ == "__main__":
    sys.exit(program())
