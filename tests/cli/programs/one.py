"""A file with exactly one orchestration, and an activity that can be held."""

import time
from pathlib import Path

from dtf_runtime import OrchestrationContext, activity, orchestration


@activity(name="one.note")
def note(log: str, line: str) -> str:
    with Path(log).open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
    return line


@activity(name="one.hold")
def hold(gate: str) -> None:
    """Until the gate file exists; as long as it does not, this worker has work in flight."""
    while not Path(gate).exists():
        time.sleep(0.01)


@orchestration(name="one")
async def one(ctx: OrchestrationContext, folder: str) -> str:
    await note(f"{folder}/log", "begin")
    ctx.set_custom_status({"steps": [{"name": "hold", "state": "running", "detail": "at the gate"}]})
    await hold(f"{folder}/gate")
    ctx.set_custom_status({"steps": [{"name": "hold", "state": "done", "detail": ""}]})
    await note(f"{folder}/log", "end")
    return "through"


if __name__ == "__main__":
    raise SystemExit("`dtf run` must not run this part")
