"""`python -m tests.faults --rounds 200 [--seed S] [--keep]`: what `make faults` runs.

Its last line says what came of it; the exit code is 1 unless nothing went wrong.
"""

import argparse
import asyncio
import importlib
import importlib.util
import logging
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.faults.rounds import Outcome, Round, plan

PROGRAMS_FROM = 200  # rounds from which the random programs of replay are run as well
PROGRAMS = 2_000
SHOWN = 8  # complaints of a round


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--keep", action="store_true", help="keep the files of rounds that went wrong")
    options = parser.parse_args()
    logging.getLogger("dtf_runtime").setLevel(logging.ERROR)  # that a worker died is no news here
    programs_went_well = options.rounds < PROGRAMS_FROM or _run_programs()
    print(f"{options.rounds} rounds, --seed {options.seed}", flush=True)
    outcomes = [_round(number, options.seed, options.keep) for number in range(options.rounds)]
    went_well = _report(outcomes)
    return 0 if went_well and programs_went_well else 1


def _round(number: int, seed: int, keep: bool) -> Outcome:
    folder = Path(tempfile.mkdtemp(prefix="dtf-faults-"))
    outcome = asyncio.run(Round(folder, plan(number, seed)).run())
    complaints = outcome.verdict.complaints()
    where = (outcome.plan.step or "at random") + (
        "" if outcome.by_itself or not outcome.plan.step else " (never came there)"
    )
    print(
        f"round {number + 1:3}: killed {where:38} turns {outcome.turns:2}, activities {outcome.activities:2} in flight, {outcome.seconds:4.1f} s",
        flush=True,
    )
    for complaint in complaints[:SHOWN]:
        print(f"  {complaint}", flush=True)
    if len(complaints) > SHOWN:
        print(f"  and {len(complaints) - SHOWN} more", flush=True)
    if complaints and keep:
        print(f"  kept in {folder}", flush=True)
    else:
        shutil.rmtree(folder)
    return outcome


def _report(outcomes: list[Outcome]) -> bool:
    by_step = Counter(
        outcome.plan.step or "at random" for outcome in outcomes if outcome.by_itself or not outcome.plan.step
    )
    print("kills: " + ", ".join(f"{step} {count}" for step, count in by_step.items()))
    in_flight = sum(1 for outcome in outcomes if outcome.turns or outcome.activities)
    enough = in_flight * 4 >= len(outcomes) * 3
    if not enough:
        print("too few kills had a turn or an activity in flight: three quarters must, or the rounds prove little")
    keys = sum(len(outcome.verdict.keys) for outcome in outcomes)
    if keys:
        print(f"wrong idempotency keys: {keys}")
    lost = sum(len(outcome.verdict.lost) for outcome in outcomes)
    twice = sum(len(outcome.verdict.applied_twice) for outcome in outcomes)
    stuck = sum(len(outcome.verdict.stuck) for outcome in outcomes)
    print(f"rounds={len(outcomes)} inflight_kills={in_flight} lost={lost} applied_twice={twice} stuck={stuck}")
    return enough and not (keys or lost or twice or stuck)


def _run_programs() -> bool:
    """Random programs of the replay engine, when its tests are there."""
    if importlib.util.find_spec("tests.replay") is None or importlib.util.find_spec("tests.replay.programs") is None:
        return True
    programs = importlib.import_module("tests.replay.programs")
    print(f"{PROGRAMS} random programs, with random batches and evictions", flush=True)
    try:
        programs.run_programs(PROGRAMS)
    except AssertionError as error:
        print(f"  {error}", flush=True)
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
