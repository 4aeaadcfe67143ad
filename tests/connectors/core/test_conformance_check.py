"""The conformance check itself: a connector that is as it should be passes, and each fault is found and named."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import msgspec
import pytest

from connectors.core import AlreadyExists, Conflict, Connection, Effect, Mutation, Secret, call_key, declare
from connectors.core.testing import (
    NotConforming,
    Sample,
    check_connector,
    check_imports,
    delivered,
    static_findings,
)
from dtf_runtime import ConnectorInfo, OrchestrationContext, Registry, activity, activity_context, orchestration
from tests.connectors.core.notes_connector import (
    CONNECTOR,
    SERVICE,
    Created,
    CreateNote,
    NoteKey,
    create_note,
    delete_note,
    get_note,
)

SAMPLES = [
    Sample(activity=create_note, call=CreateNote(text="hello"), made=lambda: SERVICE.done),
    Sample(activity=get_note, call=NoteKey(key="kept"), made=lambda: SERVICE.done, prepare=lambda: write("kept")),
    Sample(activity=delete_note, call=NoteKey(key="old"), made=lambda: SERVICE.done, prepare=lambda: write("old")),
]


def write(key: str) -> None:
    SERVICE.notes[key] = "text"


def only(*activities: Any, **more: Any) -> ConnectorInfo:
    return replace(CONNECTOR, activities=activities, **more)


def made(name: str, effect: Effect | None, fn: Callable[..., Any], how: str = "how") -> Any:
    fn.__doc__ = fn.__doc__ or "Does it."
    defined = activity(name=name, registry=Registry())(fn)
    return defined if effect is None else declare(effect, how)(defined)


def faults(info: ConnectorInfo) -> str:
    return "\n".join(map(str, static_findings(info)))


async def dynamic_faults(*samples: Sample) -> str:
    with pytest.raises(NotConforming) as caught:
        await check_connector(only(*(sample.activity for sample in samples)), samples=samples)
    return str(caught.value)


async def test_a_connector_as_it_should_be_passes() -> None:
    await check_connector(CONNECTOR, samples=SAMPLES)
    assert static_findings(CONNECTOR) == []


# == What can be read =============================================================================================


@pytest.mark.parametrize("name", ["create_note", "other.create_note", "notes.CreateNote", "notes.", "notes.a.b.c.d"])
def test_a_name_out_of_line_is_found(name: str) -> None:
    assert "its name must read notes.<service>.<verb_noun>" in faults(only(made(name, Effect.TOKEN, create_note.fn)))


def test_the_version_the_docstring_and_a_name_used_twice_are_looked_at() -> None:
    def silent(call: CreateNote) -> Created:
        raise NotImplementedError

    bare = declare(Effect.TOKEN, "x")(activity(name="notes.silent", registry=Registry())(silent))
    found = faults(only(bare, bare, version="latest"))
    assert "its version is 'latest'" in found
    assert "notes.silent: it has no docstring" in found
    assert "notes.silent: there are two of that name and version" in found
    assert "no activity and no orchestration" in faults(only())


def test_orchestrations_are_held_to_the_same_names() -> None:
    @orchestration(name="elsewhere.wait", registry=Registry())
    async def wait(ctx: OrchestrationContext) -> None: ...

    found = faults(only(create_note, orchestrations=(wait,)))
    assert "elsewhere.wait: its name must read" in found and "elsewhere.wait: it has no docstring" in found


def test_an_activity_that_does_not_say_how_it_is_once_is_found() -> None:
    assert "it doesn't say how it is effectively once" in faults(only(made("notes.x", None, create_note.fn)))


class Loose(msgspec.Struct):
    connection: str = "default"


class Positional(msgspec.Struct, frozen=True):
    connection: str = "default"


class Homeless(msgspec.Struct, frozen=True, kw_only=True):
    text: str


class WithSecret(msgspec.Struct, frozen=True, kw_only=True):
    password: Secret
    connection: str = "default"


class Unitless(msgspec.Struct, frozen=True, kw_only=True):
    wait: float | None = None
    size: int = 0
    told: float = 0
    """Seconds; as is `other`."""
    other: float = 0
    count: int = 0
    connection: str = "default"


def takes(kind: Any) -> Any:
    def take(call: Any) -> Created:
        raise NotImplementedError

    take.__annotations__["call"] = kind
    return only(made("notes.take", Effect.TOKEN, take))


def test_inputs_are_frozen_keyword_structs_that_name_their_connection() -> None:
    assert "Loose must be frozen" in faults(takes(Loose))
    assert "Positional must be kw_only" in faults(takes(Positional))
    assert 'Homeless must have `connection: str = "default"`' in faults(takes(Homeless))
    assert "its input must be a msgspec.Struct, not <class 'str'>" in faults(takes(str))
    assert "WithSecret can't cross as JSON" in faults(takes(WithSecret))


def test_a_number_says_what_it_is_a_number_of() -> None:
    found = faults(takes(Unitless))
    assert "Unitless.wait is a number of what?" in found and "Unitless.size is a number of what?" in found
    assert all(name not in found for name in ("Unitless.told", "Unitless.other", "Unitless.count"))


def test_parameters_and_annotations_that_are_not_as_they_should_be_are_found() -> None:
    def two(call: CreateNote, more: int) -> Created:
        raise NotImplementedError

    def plain(call: CreateNote) -> str:
        raise NotImplementedError

    assert "it takes one struct" in faults(only(made("notes.two", Effect.TOKEN, two)))
    assert "its output must be a msgspec.Struct" in faults(only(made("notes.plain", Effect.READ, plain)))


def test_what_changes_something_says_request_id_and_replayed() -> None:
    def change(call: CreateNote) -> NoteKey:
        raise NotImplementedError

    assert "derives from connectors.core.Mutation" in faults(only(made("notes.x", Effect.NATURAL, change)))
    assert "Mutation" not in faults(only(made("notes.x", Effect.READ, change)))


def test_the_connection_is_looked_at() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Careless(Connection):
        connector: ClassVar[str] = "others"
        needed: str
        password: str = field(default="", metadata={"help": "x"})
        api_token: Secret | None = None

    found = faults(replace(CONNECTOR, connection=Careless))
    assert "Careless: its `connector` must be 'notes'" in found
    assert "Careless.needed: every field has a default" in found
    assert "Careless.password: a credential is of type Secret | None" in found
    assert "Careless.api_token: it says what it is for" in found
    assert "DTF_CONNECTION_OTHERS_DEFAULT_API_TOKEN is missing" in found

    class Stranger: ...

    assert "derives from connectors.core.Connection" in faults(replace(CONNECTOR, connection=Stranger))


def test_an_import_that_brings_an_sdk_is_found() -> None:
    assert check_imports("connectors.core.testing") == []
    (found,) = check_imports("connectors.core.transport", ["httpx", "boto3"])
    assert "loads httpx" in str(found)
    (broken,) = check_imports("connectors.nowhere")
    assert "can't be imported" in str(broken)


# == What is delivered twice ======================================================================================


async def test_both_deliveries_have_one_key_and_another_call_has_another() -> None:
    keys: list[str] = []

    def look(call: NoteKey) -> Mutation:
        keys.append(activity_context().idempotency_key)
        return Mutation()

    async def look_too(call: NoteKey) -> Mutation:
        return look(call)

    for fn in (look, look_too):
        found = await delivered(made("notes.look", Effect.READ, fn), NoteKey(key="x"), times=3)
        assert found == [Mutation()] * 3
    assert len(keys) == 6 and len(set(keys)) == 2


async def test_one_that_happens_at_every_delivery_is_found() -> None:
    def careless(call: CreateNote) -> Created:
        return Created(key=SERVICE.create(str(len(SERVICE.notes)), call.text)[0])

    found = await dynamic_faults(replace(SAMPLES[0], activity=made("notes.careless", Effect.TOKEN, careless)))
    assert "delivered twice under one key and happened 2 times" in found
    honest = made("notes.careless", Effect.AT_LEAST_ONCE, careless)
    await check_connector(only(honest), samples=[replace(SAMPLES[0], activity=honest)])


async def test_a_key_that_is_the_same_for_every_call_is_found() -> None:
    def constant(call: CreateNote) -> Created:
        return Created(key=SERVICE.create(call.text, call.text)[0])

    sample = Sample(
        activity=made("notes.x", Effect.TOKEN, constant), call=CreateNote(text="k"), made=lambda: SERVICE.done
    )
    assert "another logical call must do it again" in await dynamic_faults(sample)
    SERVICE.notes.clear()
    await check_connector(only(sample.activity), samples=[replace(sample, afresh=False)])


async def test_a_read_that_writes_is_found() -> None:
    def sly(call: CreateNote) -> Created:
        return Created(key=SERVICE.create(call_key(call), call.text)[0])

    found = await dynamic_faults(replace(SAMPLES[0], activity=made("notes.sly", Effect.READ, sly)))
    assert "it says that it reads, and changed something" in found


async def test_a_look_up_that_does_not_say_what_it_found_is_found() -> None:
    def silent(call: CreateNote) -> Created:
        return Created(key=SERVICE.create(call_key(call), call.text)[0])

    found = await dynamic_faults(replace(SAMPLES[0], activity=made("notes.silent", Effect.LOOKUP, silent)))
    assert "must say replayed=True" in found
    await check_connector(only(create_note), samples=[replace(SAMPLES[0], activity=create_note)])


async def test_errors_of_a_second_delivery_are_found() -> None:
    def refuses(call: CreateNote) -> Created:
        key, known = SERVICE.create(call_key(call), call.text)
        if known:
            raise AlreadyExists("taken")
        return Created(key=key)

    def raw(call: CreateNote) -> Created:
        SERVICE.done += 1
        raise KeyError("text")

    found = await dynamic_faults(replace(SAMPLES[0], activity=made("notes.refuses", Effect.NATURAL, refuses)))
    assert "a delivery ended with AlreadyExists: taken" in found
    found = await dynamic_faults(replace(SAMPLES[0], activity=made("notes.raw", Effect.NATURAL, raw)))
    assert "KeyError, which is no error of the kit" in found
    assert issubclass(AlreadyExists, Conflict)


async def test_one_that_does_nothing_proves_nothing() -> None:
    def idle(call: CreateNote) -> Created:
        return Created(key="")

    sample = replace(SAMPLES[0], activity=made("notes.idle", Effect.NATURAL, idle))
    assert "its first delivery did nothing that the sample counts" in await dynamic_faults(sample)
    assert "must say how often the service did it" in await dynamic_faults(replace(sample, made=None))


async def test_one_that_changes_something_needs_a_sample() -> None:
    with pytest.raises(NotConforming) as caught:
        await check_connector(CONNECTOR, samples=[])
    said = str(caught.value)
    assert "connector 'notes' has 2 faults" in said
    assert "notes.create_note: no sample shows" in said and "notes.delete_note: no sample shows" in said
    assert [finding.where for finding in caught.value.findings] == ["notes.create_note", "notes.delete_note"]
