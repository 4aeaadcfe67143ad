"""Records the histories of tests/replay/recorded.py with this Python: `python -m tests.replay.record`. Those that exist are left alone.

A history that the code no longer repeats is a broken promise to everyone who has such an instance running: mend the code, don't record anew.
"""

import sys
from pathlib import Path
from typing import Any

import msgspec

from dtf_runtime.model.history import encode_events
from tests.replay.instance import Instance
from tests.replay.recorded import SCRIPTS

HISTORIES = Path(__file__).parent / "histories"
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"


def recording(name: str) -> bytes:
    """Readable: one event after the other, as `dtf history ID --json` gives them."""
    made, script = SCRIPTS[name]
    instance = Instance(made)
    script(instance)
    instance.evict()
    plain = msgspec.json.decode(encode_events(instance.history))
    return msgspec.json.format(msgspec.json.encode(without_traces(plain)), indent=1)


def without_traces(value: Any) -> Any:
    """A stack trace holds paths and lines."""
    if isinstance(value, dict):
        return {name: without_traces(part) for name, part in value.items() if name != "stack_trace"}
    return [without_traces(part) for part in value] if isinstance(value, list) else value


def main() -> None:
    HISTORIES.mkdir(exist_ok=True)
    for name in SCRIPTS:
        path = HISTORIES / f"{name}-{PYTHON}.json"
        if not path.exists():
            path.write_bytes(recording(name) + b"\n")
            print(f"recorded {path.name}")


if __name__ == "__main__":
    main()
