"""Rules 23 and 24: blocking calls are caught, and a turn that holds its thread is found."""

import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from dtf_runtime import ForbiddenCallError, OrchestrationContext, OrchestrationStatus, Registry, orchestration
from dtf_runtime.dispatchers.watchdog import Watchdog
from tests.replay.conftest import Traced
from tests.replay.instance import Instance


@pytest.mark.rule(24)
@pytest.mark.parametrize(
    "call",
    [
        lambda: open(__file__),  # noqa: SIM115
        lambda: Path(__file__).read_bytes(),
        lambda: socket.socket(),
        lambda: socket.getaddrinfo("localhost", 80),
        lambda: subprocess.run([sys.executable, "-V"]),
        lambda: os.system("true"),
        lambda: os.listdir("."),
        lambda: os.mkdir("never made"),
    ],
)
def test_a_blocking_call_is_refused_and_fails_the_instance_even_when_swallowed(call: Callable[[], object]) -> None:
    seen: list[str] = []

    @orchestration(registry=Registry())
    async def blocking(ctx: OrchestrationContext) -> str:
        try:
            call()
        except Exception as error:
            seen.append(str(error))
        return "as if nothing had been"

    instance = Instance(blocking)
    instance.turn()
    assert instance.status == OrchestrationStatus.FAILED and instance.failure.is_caused_by(ForbiddenCallError)
    assert "Move it into an @activity" in seen[0] and "'an instance'" in seen[0]


@pytest.mark.rule(24)
def test_a_thread_is_not_started_where_python_says_so() -> None:
    """3.11 raises no audit event for it."""

    @orchestration(registry=Registry())
    async def threading_away(ctx: OrchestrationContext) -> None:
        threading.Thread(target=int).start()

    expected = OrchestrationStatus.FAILED if sys.version_info >= (3, 12) else OrchestrationStatus.COMPLETED
    assert Instance(threading_away).turn().status == expected


@pytest.mark.rule(24)
def test_imports_time_zones_and_logging_pass(tmp_path: Path) -> None:
    handler = logging.FileHandler(tmp_path / "log", delay=True)
    logger = logging.getLogger("tests.replay.guarded")
    logger.addHandler(handler)
    sys.modules.pop("this", None)
    (tmp_path / "made_for_this_test.py").write_text("VALUE = 5")
    sys.path.insert(0, str(tmp_path))

    @orchestration(registry=Registry())
    async def ordinary(ctx: OrchestrationContext) -> str:
        import made_for_this_test  # type: ignore[import-not-found]

        ZoneInfo.clear_cache()
        logger.warning("logged to a file")
        hour = ctx.now().astimezone(ZoneInfo("Asia/Tokyo")).hour
        return f"{made_for_this_test.VALUE} {hour}"

    try:
        instance = Instance(ordinary)
        instance.turn()
    finally:
        logger.removeHandler(handler)
        handler.close()
        sys.path.remove(str(tmp_path))
    assert instance.output == "5 21"
    assert "logged to a file" in (tmp_path / "log").read_text()


@pytest.mark.rule(24)
def test_the_guard_minds_the_draining_thread_only_and_only_while_it_drains(tmp_path: Path) -> None:
    said, heard = threading.Event(), threading.Event()

    def elsewhere() -> None:
        assert said.wait(10)
        (tmp_path / "written beside a turn").touch()
        heard.set()

    @orchestration(registry=Registry())
    async def waiting(ctx: OrchestrationContext) -> bool:
        said.set()
        return heard.wait(10)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    instance = Instance(waiting)
    instance.turn()
    thread.join()
    (tmp_path / "written after a turn").touch()
    assert instance.output is True


def _burn(until: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not until() and time.monotonic() < end:
        pass


@pytest.mark.rule(23)
def test_a_turn_that_holds_its_thread_is_reported_with_the_stack_where_it_hangs(traced: Traced) -> None:
    @orchestration(registry=Registry())
    async def busy(ctx: OrchestrationContext) -> None:
        _burn(lambda: bool(traced("blocked_thread")))

    watchdog = Watchdog(threading.get_ident(), 0.05)
    watchdog.start()
    try:
        Instance(busy).turn()
    finally:
        watchdog.stop()
    (event,) = traced("blocked_thread")
    assert event["instance_id"] == "an instance" and "_burn" in str(event["stack"])


@pytest.mark.rule(23)
def test_keyboard_interrupt_commits_nothing_and_goes_on_to_the_worker() -> None:
    interrupted: list[bool] = [True]

    @orchestration(registry=Registry())
    async def interruptible(ctx: OrchestrationContext) -> str:
        ctx.send_event("other", "begun")
        if interrupted.pop():
            raise KeyboardInterrupt
        return "done"

    instance = Instance(interruptible)
    with pytest.raises(KeyboardInterrupt):
        instance.turn()
    assert instance.history == [] and instance.live is None
    interrupted.append(False)
    instance.turn()
    assert instance.output == "done"


@pytest.mark.rule(23)
@pytest.mark.parametrize("in_a_side_task", [False, True])
def test_system_exit_is_a_failure_of_that_instance(in_a_side_task: bool) -> None:
    async def leave() -> None:
        sys.exit(3)

    @orchestration(registry=Registry())
    async def leaving(ctx: OrchestrationContext) -> None:
        import asyncio

        await (asyncio.create_task(leave()) if in_a_side_task else leave())

    instance = Instance(leaving)
    instance.turn()
    assert instance.status == OrchestrationStatus.FAILED and instance.failure.type == "builtins.SystemExit"
