"""DBOS Transact on its default SQLite file: a library, no server."""

# mypy: ignore-errors

import asyncio
import logging

from dbos import DBOS, SetWorkflowID

from bench.engine import Engine, mark, record

logging.disable(logging.ERROR)


@DBOS.step()
async def act(argument: list) -> int:
    return record(argument)


@DBOS.workflow()
async def noop(argument: list) -> int:
    return 0


@DBOS.workflow()
async def seq(argument: list) -> int:
    total = 0
    for i in range(argument[1]):
        total += await act([argument[0], i])
    return total


@DBOS.workflow()
async def fan(argument: list) -> int:
    """Of the two idioms (steps gathered, a queue of child workflows) the one that is several times faster here."""
    return sum(await asyncio.gather(*[act([argument[0], i]) for i in range(argument[1])]))


@DBOS.workflow()
async def subs(argument: list) -> int:
    children = [f"{argument[0]}.{k}" for k in range(argument[1])]
    handles = [await DBOS.start_workflow_async(seq, [child, argument[2]]) for child in children]
    return sum([await handle.get_result() for handle in handles])


@DBOS.workflow()
async def timer(argument: list) -> int:
    mark("a:" + argument[0])
    await DBOS.sleep_async(argument[1])
    mark("b:" + argument[0])
    return 0


@DBOS.workflow()
async def event(argument: list) -> int:
    mark("w:" + argument[0])
    return await DBOS.recv_async("go", timeout_seconds=600)


KINDS = {"noop": noop, "seq": seq, "fan": fan, "subs": subs, "timer": timer, "event": event}


class Dbos(Engine):
    name = "dbos-sqlite"
    package = "dbos"
    durability = "its default SQLite: rollback journal (DELETE), synchronous=FULL"

    async def start(self) -> None:
        url = f"sqlite:///{self.workdir}/dbos.sqlite"
        DBOS(
            config={"name": "bench", "system_database_url": url, "log_level": "ERROR", "application_version": "v1"},
        )
        DBOS.launch()

    async def stop(self) -> None:
        await asyncio.to_thread(DBOS.destroy)

    async def begin(self, kind: str, instance_id: str, argument: list) -> object:
        with SetWorkflowID(instance_id):
            return await DBOS.start_workflow_async(KINDS[kind], argument)

    async def wait(self, handle) -> int:
        return await handle.get_result()

    async def lookup(self, kind: str, instance_id: str) -> object:
        return await DBOS.retrieve_workflow_async(instance_id)

    async def raise_event(self, instance_id: str, value: int) -> None:
        await DBOS.send_async(instance_id, value, topic="go")


ENGINE = Dbos
