"""The suite can fail: a hub with one guarantee broken does not pass the check of that guarantee."""

import pytest

from dtf_runtime import Clock, OrchestrationService
from dtf_runtime.providers.memory import MemoryService
from dtf_runtime.testing import ProviderConformance
from dtf_runtime.testing.conformance import case
from tests.conformance.sabotage import SABOTAGES, Sabotage

CASES = [(sabotage, check) for sabotage, checks in SABOTAGES.items() for check in checks]


@pytest.mark.parametrize(("sabotage", "check"), CASES, ids=[f"{s.__name__}-{c}" for s, c in CASES])
async def test_a_broken_guarantee_is_noticed(sabotage: Sabotage, check: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(case, "PATIENCE", 0.5)  # what was broken so that it never comes is waited for this long

    def make(clock: Clock) -> OrchestrationService:
        service = MemoryService(clock)
        sabotage(service)
        return service

    with pytest.raises(AssertionError, match=f"^{check} does not hold"):
        await ProviderConformance(make).run(check)


def test_every_check_has_been_seen_to_fail() -> None:
    seen = {check for checks in SABOTAGES.values() for check in checks}
    assert seen == set(ProviderConformance(MemoryService).checks())
