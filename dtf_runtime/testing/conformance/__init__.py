"""The guarantees of `dtf_runtime/service.py` as checks that any provider can be put through. Needs no pytest, knows no provider.

Each check is one async function in a themed module; its docstring is the guarantee, in a sentence.
"""

import asyncio
from collections.abc import Callable

from dtf_runtime.clock import REAL_CLOCK, Clock
from dtf_runtime.errors import InvalidArgumentError
from dtf_runtime.service import OrchestrationService
from dtf_runtime.testing.conformance import (
    activities,
    case,
    children,
    commits,
    durability,
    instances,
    locks,
    queries,
    timers,
)
from dtf_runtime.testing.conformance.case import Case, Check

_MODULES = (commits, locks, timers, activities, instances, children, queries, durability)
_CHECKS: dict[str, Check] = {check.__name__: check for module in _MODULES for check in module.CHECKS}


class ProviderConformance:
    """`make_service` gives the service of a new, empty hub at each call, which takes the time from the clock it is given.

    Checks run on the real clock with waits of a fraction of a second; the whole suite takes some seconds and one process.
    """

    def __init__(self, make_service: Callable[[Clock], OrchestrationService]) -> None:
        self._make_service = make_service

    def checks(self) -> tuple[str, ...]:
        """Their names, in the order in which `run` takes them."""
        return tuple(_CHECKS)

    async def run(self, *checks: str) -> None:
        """All of them when none is named. AssertionError says which guarantee broke and how; an unknown name: InvalidArgumentError."""
        unknown = [name for name in checks if name not in _CHECKS]
        if unknown:
            raise InvalidArgumentError(f"there is no check {unknown[0]!r}; there are: {', '.join(_CHECKS)}")
        for name in checks or self.checks():
            await self._run(name, _CHECKS[name])

    async def _run(self, name: str, check: Check) -> None:
        service = self._make_service(REAL_CLOCK)
        guarantee = " ".join((check.__doc__ or "").split())
        try:
            async with asyncio.timeout(case.PATIENCE * 3):
                await service.create_hub()
                await service.start()
                try:
                    await check(Case(service))
                finally:
                    await service.stop()
        except Exception as error:
            how = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
            raise AssertionError(f"{name} does not hold. {guarantee} But: {how or 'it never ended'}") from error
