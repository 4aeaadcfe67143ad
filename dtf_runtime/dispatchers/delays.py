"""Calls something later, by whichever clock the worker has: on the real one for the price of a loop's timer."""

import asyncio
from collections.abc import Callable

from dtf_runtime.clock import Clock, RealClock


def call_after(clock: Clock, delay: float, callback: Callable[[], None]) -> Callable[[], object]:
    """Runs `callback` in the running loop after `delay` seconds. Gives the function that calls it off."""
    loop = asyncio.get_running_loop()
    if isinstance(clock, RealClock):
        return loop.call_later(delay, callback).cancel
    return loop.create_task(_sleep(clock, delay, callback)).cancel


async def _sleep(clock: Clock, delay: float, callback: Callable[[], None]) -> None:
    await clock.sleep(delay)
    callback()
