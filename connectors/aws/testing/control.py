"""How a test in another process steers the server: `POST /_aws/<verb>` with JSON in and out."""

from collections.abc import Callable
from typing import Any

import msgspec

from connectors.aws.testing.engine import Engine
from connectors.aws.testing.faults import Fault


class Control:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._verbs: dict[str, Callable[..., Any]] = {
            "ping": lambda: "pong",
            "reset": engine.reset,
            "calls": lambda since=0: engine.calls[since:],
            "mark": engine.mark,
            "changes": engine.changes,
            "set": self._set,
            "now": engine.world.now,
            "advance": engine.world.clock.advance,
            "run_clock": engine.world.clock.run,
            "fault": self._fault,
            "clear_faults": engine.faults.clear,
            "release": engine.faults.release,
            "wait_held": engine.faults.wait_held,
        }
        for behaviour in engine.behaviours:
            self._verbs |= {name: getattr(behaviour, name) for name in getattr(behaviour, "VERBS", ())}

    def handle(self, verb: str, body: bytes) -> tuple[int, bytes]:
        """Status and JSON."""
        if verb not in self._verbs:
            return 404, msgspec.json.encode(f"there is no {verb}; there are {', '.join(sorted(self._verbs))}")
        try:
            return 200, msgspec.json.encode(self._verbs[verb](**msgspec.json.decode(body or b"{}")))
        except (TypeError, ValueError) as wrong:
            return 400, msgspec.json.encode(f"{verb}: {wrong}")

    def _set(self, **changes: float) -> None:
        world = self._engine.world
        world.settings = msgspec.convert(msgspec.structs.asdict(world.settings) | changes, type(world.settings))

    def _fault(self, **fields: Any) -> None:
        self._engine.faults.order(msgspec.convert(fields, Fault))
