"""Ten cases of `social_once`, chosen by a seed that is printed; `make faults` runs them all. And that its judge notices what goes wrong."""

import os
import random
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from typing import Any

import pytest

from connectors.twitter import CreatePost, create_post
from connectors.twitter.testing import FakeTwitter
from dtf_runtime import OrchestrationContext, orchestration
from dtf_runtime.clock import Clock
from tests.connectors import social_once
from tests.connectors.social_once import CUTS, Case, Verdict, cases, run
from tests.connectors.social_scenarios import SCENARIOS, Scenario, Wanted, registry


async def test_ten_calls_that_break_at_a_random_point_are_made_once() -> None:
    seed = int(os.environ.get("SOCIAL_SEED") or random.SystemRandom().randrange(1_000_000))
    print(f"SOCIAL_SEED={seed}")
    for case in islice(cases(seed), 10):
        assert await run(case) == Verdict(), f"{case}, SOCIAL_SEED={seed}"


def test_every_service_is_cut_at_every_point() -> None:
    found = {(case.scenario, case.cut) for case in cases(1)}
    assert found == {(name, cut) for name in SCENARIOS for cut in CUTS}


# -- the judge


@orchestration(name="tests.social.careless", registry=registry)
async def careless(ctx: OrchestrationContext, wanted: Wanted) -> list[str]:
    return [(await create_post(CreatePost(text=wanted.text, begun=ctx.now(), on_ambiguous="resend"))).id]


@orchestration(name="tests.social.liar", registry=registry)
async def liar(ctx: OrchestrationContext, wanted: Wanted) -> list[str]:
    return ["17"]


def _credulous(clock: Clock) -> FakeTwitter:
    return FakeTwitter(clock, duplicate_window=timedelta(0))


def judged(monkeypatch: pytest.MonkeyPatch, flow: Any, **changes: Any) -> Case:
    scenario: Scenario = replace(SCENARIOS["x.post"], flow=flow, **changes)
    monkeypatch.setattr(social_once, "SCENARIOS", {"x.post": scenario})
    return Case("x.post", "lose")


async def test_the_judge_notices_a_post_that_was_made_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = await run(judged(monkeypatch, careless, make=_credulous))
    assert verdict.twice >= 1


async def test_the_judge_notices_a_post_that_was_never_made(monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = await run(judged(monkeypatch, liar))
    assert (verdict.missing, verdict.shared) == (1, 1)


async def test_the_judge_notices_a_call_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(clock: Clock) -> FakeTwitter:
        x = FakeTwitter(clock)
        x.refuse_text("We have news")
        return x

    verdict = await run(judged(monkeypatch, SCENARIOS["x.post"].flow, make=refusing))
    assert verdict.failed == 2
