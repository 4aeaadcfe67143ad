"""A small connector that is as it should be, for tests of the checks. Its service keeps notes in memory and counts what it did."""

from dataclasses import dataclass, field
from typing import ClassVar

import msgspec

from connectors.core import Connection, Effect, Mutation, NotFound, Secret, call_key, declare
from dtf_runtime import ConnectorInfo, Registry, activity

REGISTRY = Registry()


class Service:
    def __init__(self) -> None:
        self.notes: dict[str, str] = {}
        self.done = 0

    def create(self, token: str, text: str) -> tuple[str, bool]:
        known = token in self.notes
        if not known:
            self.notes[token] = text
            self.done += 1
        return token, known

    def delete(self, key: str) -> None:
        if self.notes.pop(key, None) is not None:
            self.done += 1


SERVICE = Service()


@dataclass(frozen=True, kw_only=True)
class NotesConnection(Connection):
    connector: ClassVar[str] = "notes"
    url: str = field(default="", metadata={"help": "where it is"})
    token: Secret | None = field(default=None, metadata={"help": "its key"})


class CreateNote(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    text: str
    connection: str = "default"


class Created(Mutation, frozen=True, kw_only=True):
    key: str


class NoteKey(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    key: str
    connection: str = "default"


class Note(msgspec.Struct, frozen=True, kw_only=True):
    text: str


@declare(Effect.TOKEN, "Token", permissions=("notes:Create",))
@activity(name="notes.create_note", registry=REGISTRY)
def create_note(call: CreateNote) -> Created:
    """Writes a note."""
    key, known = SERVICE.create(call_key(call), call.text)
    return Created(key=key, replayed=known)


@declare(Effect.READ, permissions=("notes:Get",))
@activity(name="notes.get_note", registry=REGISTRY)
async def get_note(call: NoteKey) -> Note:
    """Raises NotFound."""
    if call.key not in SERVICE.notes:
        raise NotFound("there is no such note", code="NoSuchNote")
    return Note(text=SERVICE.notes[call.key])


@declare(Effect.NATURAL, "missing is what it wants")
@activity(name="notes.delete_note", registry=REGISTRY)
def delete_note(call: NoteKey) -> Mutation:
    """One that is gone is a success."""
    SERVICE.delete(call.key)
    return Mutation()


ACTIVITIES = (create_note, get_note, delete_note)
CONNECTOR = ConnectorInfo(
    name="notes",
    version="1",
    activities=ACTIVITIES,
    connection=NotesConnection,
    environment={"DTF_CONNECTION_NOTES_DEFAULT_URL": "u", "DTF_CONNECTION_NOTES_DEFAULT_TOKEN": "t"},
)
