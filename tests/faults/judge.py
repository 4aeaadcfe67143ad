"""Whether a round went well. Pure: what was promised, what the oracle saw, what the hub says; the answer is a list of complaints."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dtf_runtime import InstanceState
from tests.faults import flows
from tests.faults.oracle import Run


@dataclass(frozen=True)
class Applied:
    """A result of an activity as one execution's history has it."""

    execution: str
    number: int
    token: str


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """`durable`: tokens that history held right after the kill. `died`: the pid that was killed."""

    accepted: Sequence[str]
    states: Mapping[str, InstanceState | None]
    applied: Mapping[str, Sequence[Applied]]  # by instance, in the order of history
    runs: Sequence[Run]
    durable: frozenset[str]
    unreadable: Sequence[str] = ()  # errors of histories
    died: int


@dataclass
class Verdict:
    lost: list[str] = field(default_factory=list)
    applied_twice: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    def complaints(self) -> list[str]:
        named = (("lost", self.lost), ("applied twice", self.applied_twice), ("stuck", self.stuck), ("keys", self.keys))
        return [f"{name}: {text}" for name, texts in named for text in texts]


def judge(evidence: Evidence) -> Verdict:
    verdict = Verdict()
    for instance in evidence.accepted:
        _look_at_end(instance, evidence, verdict)
    verdict.lost.extend(evidence.unreadable)
    for instance, applied in evidence.applied.items():
        _look_at_history(instance, applied, evidence.runs, verdict)
    _look_at_repeats(evidence, verdict)
    _look_at_keys(evidence.runs, verdict)
    return verdict


def _look_at_end(instance: str, evidence: Evidence, verdict: Verdict) -> None:
    state, kind = evidence.states.get(instance), flows.kind_of(instance)
    if state is None:
        verdict.lost.append(f"{instance} was acknowledged and is not there")
        return
    if not state.status.is_final:
        verdict.stuck.append(f"{instance} is {state.status}, history of {state.history_length} events")
        return
    if state.status != flows.status_wanted(kind):
        verdict.lost.append(f"{instance} is {state.status}: {state.failure}")
        return
    applied = evidence.applied.get(instance, ())
    if kind == "saga":
        _look_at_compensation(instance, applied, evidence.runs, verdict)
        return
    wrong = flows.right_end(kind, state.output)
    if wrong:
        verdict.lost.append(f"{instance} ended wrong: {wrong}")
    used = flows.tokens_in(state.output)
    known = {one.token for results in evidence.applied.values() for one in results}
    if not set(used) <= known:
        verdict.lost.append(f"{instance} used results that history has not: {set(used) - known}")
    if len(set(used)) != len(used):
        verdict.applied_twice.append(f"{instance} used one run for two steps: {used}")


def _look_at_compensation(instance: str, applied: Sequence[Applied], runs: Iterable[Run], verdict: Verdict) -> None:
    """Each step that was done is undone, last in first out."""
    steps = {run.token: run.step for run in runs}
    names = [steps.get(one.token, "?") for one in applied]
    done = [name for name in names if not name.startswith("undo ")]
    undone = [name.removeprefix("undo ") for name in names if name.startswith("undo ")]
    if undone != done[::-1]:
        verdict.lost.append(f"{instance} did {done} and undid {undone}")


def _look_at_history(instance: str, applied: Iterable[Applied], runs: Iterable[Run], verdict: Verdict) -> None:
    counts = Counter((one.execution, one.number) for one in applied)
    for (execution, number), times in counts.items():
        if times > 1:
            verdict.applied_twice.append(f"call {number} of {instance} ({execution}) has {times} results in history")
    ran = {run.token for run in runs if run.instance == instance}
    for one in applied:
        if one.token not in ran:
            verdict.lost.append(f"{instance} has a result that none of its activities gave: {one.token}")


def _look_at_repeats(evidence: Evidence, verdict: Verdict) -> None:
    """A step runs once, and once more only where the kill was in flight for it: its result was not in history yet."""
    by_attempt: dict[tuple[str, str, int], list[Run]] = defaultdict(list)
    for run in evidence.runs:
        by_attempt[run.execution, run.step, run.attempt].append(run)
    for runs in by_attempt.values():
        if len(runs) == 1:
            continue
        first = runs[0]
        what = f"step {first.step!r} (attempt {first.attempt}) of {first.instance} ran {len(runs)} times"
        if len(runs) > 2 or first.pid != evidence.died or runs[1].pid == evidence.died:
            verdict.applied_twice.append(f"{what}, by {[run.pid for run in runs]}; killed was {evidence.died}")
        elif first.token in evidence.durable:
            verdict.applied_twice.append(f"{what}, though its result was in history when the worker was killed")


def _look_at_keys(runs: Iterable[Run], verdict: Verdict) -> None:
    keys: dict[tuple[str, str], set[str]] = defaultdict(set)
    calls: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for run in runs:
        call = (run.execution, run.step)
        keys[call].add(run.key)
        calls[run.key].add(call)
    for (execution, step), found in keys.items():
        if len(found) > 1:
            verdict.keys.append(f"step {step!r} of {execution} came with {len(found)} keys")
    for key, found_calls in calls.items():
        if len(found_calls) > 1:
            verdict.keys.append(f"key {key} was given to {sorted(found_calls)}")


def as_applied(execution: str, events: Iterable[Any]) -> list[Applied]:
    """The results of activities in one execution's history."""
    found = []
    for event in events:
        if event.kind == "TaskCompleted":
            tokens = flows.tokens_in(json.loads(bytes(event.result)))
            found.append(Applied(execution, event.number, tokens[0]))
    return found
