"""Random programs, run as a straight line and run with everything that may happen to an instance: the same history, the same result.

The straight run takes one message a turn from a simulated world and never leaves memory; what came is noted down. The other run gets the same
messages in turns of random size, and is evicted and replayed from its stored bytes at random. `run_programs` is for the faults runner too.
"""

import random
from typing import Any

import msgspec
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dtf_runtime import OrchestrationStatus
from dtf_runtime.model import history as h
from dtf_runtime.model import messages as m
from dtf_runtime.model.commit import Commit
from tests.replay.instance import MADE, Instance, raised
from tests.replay.interpreter import Node, program

LONGEST = 160  # messages
PATIENCE = 60  # messages until the world cancels what it can't bring to an end
NAMES = ("red", "green", "blue")

_keys = st.integers(1, 9)
_delays = st.sampled_from((1, 500, 1000, 1000, 2500, 60_000))  # milliseconds; two equal ones are likely
_leaves = st.one_of(
    *(st.tuples(st.just(kind), _keys) for kind in ("call", "call", "retried", "child", "retried_child", "named_calls")),
    *(st.tuples(st.just(kind), _keys) for kind in ("start", "put")),
    *(st.tuples(st.just(kind), _delays) for kind in ("sleep", "get")),
    *(st.tuples(st.just(kind), st.sampled_from(NAMES)) for kind in ("event", "send", "patched")),
    *(st.tuples(st.just(kind), st.lists(_keys, min_size=1, max_size=3)) for kind in ("race_of_calls", "as_completed")),
    *(st.tuples(st.just(kind)) for kind in ("yield", "chance", "cancel_side", "fail")),
)


def _grown(nodes: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(nodes, min_size=1, max_size=4)
    return st.one_of(
        st.tuples(st.just("sequence"), several),
        st.tuples(st.just("sequence"), several),
        st.tuples(st.just("gather"), several, st.booleans()),
        *(st.tuples(st.just(kind), several) for kind in ("race", "group")),
        *(st.tuples(st.just(kind), _delays, nodes) for kind in ("timeout", "wait_for")),
        *(st.tuples(st.just(kind), _keys, nodes) for kind in ("saga", "cancelled_call")),
        *(st.tuples(st.just(kind), nodes) for kind in ("shield", "spawn", "locked", "limited")),
        st.tuples(st.just("stubborn"), nodes, nodes),
        st.tuples(st.just("try"), nodes, nodes, nodes),
    )


_blocks = _grown(st.recursive(_leaves, _grown, max_leaves=6))
_ends = st.one_of(_leaves, st.tuples(st.sampled_from(("fail", "again"))))
programs: st.SearchStrategy[Node] = st.tuples(st.lists(_blocks, min_size=2, max_size=5), _ends).map(
    lambda parts: msgspec.json.decode(msgspec.json.encode(("sequence", [*parts[0], parts[1]])))
)


class World:
    """Answers what commits ask for, in an order of its own. `heard` is all that it said."""

    def __init__(self, instance: Instance, chance: random.Random) -> None:
        self.instance = instance
        self.chance = chance
        self.open: dict[tuple[str, int, int], bool] = {}  # (kind, number, attempt): cancelled
        self.due: dict[int, Any] = {}
        self.heard: list[m.Message] = []
        self._events = 0

    def absorb(self, commit: Commit) -> None:
        for task in commit.tasks:
            self.open["activity", task.number, task.attempt] = False
        for number in commit.cancelled_tasks:
            for key in list(self.open):
                if key[:2] == ("activity", number):
                    self.open[key] = True
        for start in commit.starts:
            if start.parent is not None:
                self.open["child", start.parent.number, start.parent.attempt] = False
        for send in commit.sends:
            if isinstance(send.message, m.Control):
                self._cancel_child(send.instance_id)
        for timer in commit.timers:
            self.due[timer.number] = timer.fire_at
        for number in commit.withdrawn_timers:
            if self.chance.random() < 0.7:  # else the message is under way already
                self.due.pop(number, None)

    def _cancel_child(self, instance_id: str) -> None:
        number = int(instance_id.rpartition(".")[2].partition("~")[0])
        for key in self.open:
            if key[:2] == ("child", number):
                self.open[key] = True

    def next(self) -> m.Message | None:
        message = self._next()
        if message is not None:
            self.heard.append(message)
        return message

    def _next(self) -> m.Message | None:
        chance, dice = self.chance, self.chance.random()
        if len(self.heard) >= PATIENCE and len(self.heard) % 10 == 0:
            return self.instance.control("resume" if self.instance.last.status == "suspended" else "cancel")
        if dice < 0.06 and self.heard:
            return chance.choice(self.heard)  # delivered twice
        if dice < 0.10:
            action = chance.choice(("suspend", "resume", "resume"))
            return self.instance.control(action, f"{action}-{len(self.heard)}")
        if dice < 0.12:
            return self.instance.control("cancel", f"cancel-{len(self.heard)}")
        if dice < 0.30 or not (self.open or self.due):
            self._events += 1
            return raised(chance.choice(NAMES), self._events, f"event-{self._events}")
        if self.due and (dice < 0.5 or not self.open):
            number = min(self.due, key=lambda number: (self.due[number], number))
            del self.due[number]
            return self.instance.due(number)
        return self._answer(chance.choice(list(self.open)))

    def _answer(self, key: tuple[str, int, int]) -> m.Message | None:
        kind, number, attempt = key
        cancelled = self.open.pop(key)
        instance, fails = self.instance, self.chance.random() < 0.12
        if kind == "activity":
            if fails:
                return instance.failed(number, OSError(f"attempt {attempt}"), attempt)
            return instance.completed(number, number * 10 + attempt, attempt)
        if cancelled and self.chance.random() < 0.7:
            return instance.child_ended(number, OrchestrationStatus.CANCELLED, attempt=attempt)
        if fails:
            return instance.child_ended(
                number, OrchestrationStatus.FAILED, error=OSError(f"attempt {attempt}"), attempt=attempt
            )
        return instance.child_ended(number, result=number * 10 + attempt, attempt=attempt)


def straight(node: Node, seed: int, pace: float) -> tuple[Instance, list[m.Message]]:
    """One message a turn, `pace` seconds apart, and no eviction."""
    instance = Instance(program, node)
    world = World(instance, random.Random(seed))
    commit = instance.turn()
    while instance.live is not None and len(world.heard) < LONGEST:
        world.absorb(commit)
        message = world.next()
        assert message is not None
        commit = instance.turn(message, after=pace)
    if instance.live is not None:
        instance.evict()
    return instance, world.heard


def troubled(node: Node, seed: int, pace: float, messages: list[m.Message]) -> Instance:
    """The same messages, in turns of any size, with evictions in between."""
    chance = random.Random(~seed)
    instance = Instance(program, node)
    waiting = list(messages)
    instance.turn(*_early(waiting, chance.choice((0, 0, 1, 3))))
    while instance.live is not None and waiting:
        if chance.random() < 0.4:
            instance.evict()
        taken = _taken(instance, waiting, chance.randint(1, 6))
        if not taken:
            break  # a timer that only the straight run made: the histories differ
        instance.turn(*taken, after=pace)
    if instance.live is not None:
        instance.evict()
    return instance


def _early(waiting: list[m.Message], most: int) -> list[m.Message]:
    """What can come before the first turn. Not a suspend: one that is there already lets nothing begin, a deliberate difference."""
    taken: list[m.Message] = []
    while waiting and len(taken) < most:
        message = waiting[0]
        if not isinstance(message, (m.ExternalEvent, m.Control)) or getattr(message, "action", "") == "suspend":
            break
        taken.append(waiting.pop(0))
    return taken


def _taken(instance: Instance, waiting: list[m.Message], most: int) -> list[m.Message]:
    """A timer that a turn makes can come due in the next at the soonest; its deadline is that of this run."""
    taken: list[m.Message] = []
    known = {event.number: event.fire_at for event in instance.of_kind(h.TimerCreated)}
    while waiting and len(taken) < most:
        message = waiting[0]
        if isinstance(message, m.TimerDue):
            if message.number not in known:
                break
            message = msgspec.structs.replace(message, fire_at=known[message.number])
        taken.append(message)
        del waiting[0]
    return taken


def decided(instance: Instance, *, with_deadlines: bool) -> list[Any]:
    """The history, without what turns may change: when they were."""
    found = []
    for event in instance.history:
        plain = msgspec.json.decode(msgspec.json.encode(event))
        for name in ("timestamp",) if with_deadlines else ("timestamp", "fire_at", "retry_at"):
            plain.pop(name, None)
        found.append(_without_traces(plain))
    return found


def _without_traces(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_traces(part) for name, part in value.items() if name != "stack_trace"}
    return [_without_traces(part) for part in value] if isinstance(value, list) else value


def sent(instance: Instance) -> list[Any]:
    """What left the instance for others, in order."""
    sends = [msgspec.json.decode(msgspec.json.encode(send)) for commit in instance.commits for send in commit.sends]
    starts = [start.execution_id for commit in instance.commits for start in commit.starts]
    return [sends, starts]


def check_program(node: Node, seed: int, pace: float) -> None:
    MADE.clear()
    line, messages = straight(node, seed, pace)
    other = troubled(node, seed, pace, messages)
    note = f"program {node!r}, seed {seed}, pace {pace}"
    exact = pace == 0.0  # with another number of turns another time passes between them
    assert decided(other, with_deadlines=exact) == decided(line, with_deadlines=exact), note
    assert (other.status, other.last.output) == (line.status, line.last.output), note
    assert (other.last.next is None) == (line.last.next is None), note
    if exact:
        assert sent(other) == sent(line), note
    line.replay()
    other.replay()


def run_programs(examples: int) -> None:
    """Prints the seed of the whole run, and hypothesis prints the program that failed."""
    seed = random.SystemRandom().getrandbits(32)
    print(f"random programs: {examples} from seed {seed}")

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(programs, st.integers(0, 2**32), st.sampled_from((0.0, 0.0, 0.7)))
    def run(node: Node, choice: int, pace: float) -> None:
        check_program(node, choice, pace)

    from hypothesis import seed as with_seed

    with_seed(seed)(run)()
