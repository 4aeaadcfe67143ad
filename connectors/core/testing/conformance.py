"""The check that every connector passes: what it says of itself, and that a call which is delivered twice happens once."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from connectors.core.connections import Connection
from connectors.core.effects import Declaration, Effect, Mutation, declaration_of
from connectors.core.errors import ConnectorError
from connectors.core.testing.delivering import delivered
from connectors.core.testing.findings import Finding
from connectors.core.testing.static import static_findings
from dtf_runtime import Activity, ConnectorInfo

_AFRESH = frozenset({Effect.TOKEN, Effect.LOOKUP})


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One call of one activity against a fake of its service."""

    activity: Activity[..., Any]
    call: Any = None
    made: Callable[[], int] | None = None
    """How often the service has done it, in the service's own count. For activities that change something."""
    afresh: bool | None = None
    """Whether another logical call does it again. Default: yes for a token and a look-up, unknown for the others."""
    prepare: Callable[[], Any] | None = None
    """Runs before the sample: what it deletes must be there. What it gives, if anything, is the call."""


class NotConforming(AssertionError):
    """`findings` says everything that is wrong."""

    def __init__(self, name: str, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        lines = "\n".join(f"  {finding}" for finding in findings)
        super().__init__(f"connector {name!r} has {len(findings)} faults:\n{lines}")


async def check_connector(
    info: ConnectorInfo, *, samples: Iterable[Sample] | None = None, connections: Iterable[Connection] = ()
) -> None:
    """Raises NotConforming. Without `samples` only what can be read is checked; with them every activity that changes something needs one,
    unless it declares `at least once`."""
    found = static_findings(info)
    if samples is not None:
        samples, connections = list(samples), tuple(connections)
        sampled = {(sample.activity.name, sample.activity.version) for sample in samples}
        for activity in info.activities:
            if (activity.name, activity.version) not in sampled and _needs_sample(activity):
                found.append(Finding(activity.name, "no sample shows that a second delivery changes nothing"))
        for sample in samples:
            found += [Finding(sample.activity.name, what) for what in await _twice(sample, connections)]
    if found:
        raise NotConforming(info.name, found)


def _needs_sample(activity: Activity[..., Any]) -> bool:
    declaration = declaration_of(activity)
    return declaration is not None and declaration.effect not in (Effect.READ, Effect.AT_LEAST_ONCE)


async def _twice(sample: Sample, connections: Iterable[Connection]) -> list[str]:
    declaration = declaration_of(sample.activity)
    if declaration is None:
        return []
    call = (sample.prepare() if sample.prepare is not None else None) or sample.call
    made = sample.made or (lambda: 0)
    counts = [made()]
    ended = await delivered(
        sample.activity, call, times=2, between=lambda: counts.append(made()), connections=connections
    )
    counts.append(made())
    found = [problem for outcome in ended for problem in _outcome(sample.activity, outcome)]
    found += _counts(sample, declaration, counts)
    if declaration.effect is Effect.LOOKUP and isinstance(ended[1], Mutation) and not ended[1].replayed:
        found.append("a second delivery found what the first did, and must say replayed=True")
    if found or not _is_afresh(sample, declaration):
        return found
    await delivered(sample.activity, call, times=1, connections=connections)
    if made() == counts[-1]:
        found.append("another logical call must do it again: its key may not be a constant")
    return found


def _is_afresh(sample: Sample, declaration: Declaration) -> bool:
    afresh = declaration.effect in _AFRESH if sample.afresh is None else sample.afresh
    return sample.made is not None and afresh


def _outcome(activity: Activity[..., Any], outcome: Any) -> list[str]:
    if isinstance(outcome, ConnectorError):
        return [f"a delivery ended with {type(outcome).__name__}: {outcome}"]
    if isinstance(outcome, BaseException):
        return [f"a delivery ended with {type(outcome).__name__}, which is no error of the kit: {outcome}"]
    try:
        crossed = msgspec.json.decode(msgspec.json.encode(outcome), type=type(outcome))
    except (TypeError, msgspec.MsgspecError) as error:
        return [f"its result can't cross as JSON: {error}"]
    return [] if crossed == outcome else ["its result is another one when it comes back from JSON"]


def _counts(sample: Sample, declaration: Declaration, counts: list[int]) -> list[str]:
    before, once, twice = counts
    if declaration.effect is Effect.READ:
        return [] if before == once == twice else ["it says that it reads, and changed something"]
    if sample.made is None:
        return ["its sample must say how often the service did it: made=..."]
    found = [] if once != before else ["its first delivery did nothing that the sample counts"]
    if declaration.effect is not Effect.AT_LEAST_ONCE and twice != once:
        found.append(f"it was delivered twice under one key and happened {abs(twice - before)} times")
    return found
