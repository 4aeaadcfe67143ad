"""Plants a credential in every field that can hold one, runs something, and looks for it in everything that the run left behind.

Looked at: each file of the run, the database and its write-ahead log among them, raw and with what is packed in it unpacked (base64, gzip, zlib, to
some depth); all logs at DEBUG, as a plain handler writes them, of botocore, urllib3, httpx and whoever else logs; the tracebacks that the run noted;
`repr`; and what `dtf show --json` and `dtf history --json` print. A check that finds nothing proves nothing unless it finds a leak that is there:
show it one.
"""

import asyncio
import dataclasses
import io
import logging
import re
import sqlite3
import sys
import tempfile
import traceback
import typing
import zlib
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from connectors.core.connections import Connection, settings
from connectors.core.secret import Secret
from dtf_runtime import TaskHubClient

CANARY = "{canary}"
_LOGGERS = (
    "asyncio",
    "boto3",
    "botocore",
    "connectors",
    "dtf_runtime",
    "httpcore",
    "httpx",
    "s3transfer",
    "urllib3",
    "uvicorn",
    "vcr",
)
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{24,}={0,2}")
_DEEPEST = 3
_MOST_UNPACKED = 16 * 1024 * 1024  # bytes of one packed piece
_MOST_INSTANCES = 4  # that the command is asked about, the newest: what it prints of the others is in the database too


class Leak(NamedTuple):
    field: str
    form: str
    """How it was written: plain, base64, hex, utf-16."""
    where: str

    def __str__(self) -> str:
        return f"the {self.field} of the connection is in {self.where} ({self.form})"


@dataclasses.dataclass(frozen=True)
class Planted:
    connection: Connection
    canaries: dict[str, str]
    """Field: the text that must not be seen."""


@dataclasses.dataclass
class Run:
    """What the exercise gets. It puts its files (cassettes, downloads) into `folder`, and its hub is `hub`."""

    folder: Path
    hub: str
    connections: tuple[Connection, ...]
    notes: list[str] = dataclasses.field(default_factory=list)

    def note(self, what: BaseException | str) -> None:
        """An error that came out, or a text that somebody sees."""
        self.notes.append(what if isinstance(what, str) else "".join(traceback.format_exception(what)))


def planted(cls: type[Connection], **values: Any) -> Planted:
    """A connection with a canary in every `Secret` field. A value may say where: `proxy="http://user:{canary}@127.0.0.1:9"`; None leaves it out."""
    hints = typing.get_type_hints(cls)
    canaries: dict[str, str] = {}
    for field in settings(cls):
        hint = hints[field.name]
        if Secret not in (hint, *typing.get_args(hint)) or values.get(field.name, CANARY) is None:
            continue
        canaries[field.name] = f"canary{field.name.replace('_', '')}{uuid4().hex}"
        values[field.name] = Secret(str(values.get(field.name, CANARY)).replace(CANARY, canaries[field.name]))
    return Planted(cls(**values), canaries)


async def secret_scan(
    plants: Planted | Iterable[Planted], exercise: Callable[[Run], Awaitable[None]], *, also: Iterable[Path] = ()
) -> list[Leak]:
    """Every leak, each once for a place. `exercise` runs workflows with `run.connections` on `run.hub`; `also` are more files, or folders."""
    plants = [plants] if isinstance(plants, Planted) else list(plants)
    needles = _needles(plants)
    with tempfile.TemporaryDirectory(prefix="dtf-secret-scan-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        run = Run(folder, f"sqlite:///{folder / 'hub.db'}", tuple(plant.connection for plant in plants))
        with _all_logs() as logs:
            async with TaskHubClient(run.hub) as client:  # keeps the write-ahead log until it was looked at
                await exercise(run)
                found = list(_in_files(needles, folder, [folder, *also]))
                found += list(_in_database(needles, folder / "hub.db"))
                ids = [state.instance_id async for state in client.query()][:_MOST_INSTANCES]
                for instance_id in ids:
                    for words in (("show", instance_id), ("history", instance_id)):
                        printed = await _dtf(*words, "--json", "--hub", run.hub)
                        found += _in_data(needles, printed, f"what `dtf {words[0]} --json` prints")
        found += _in_data(needles, logs.getvalue().encode(), "the logs")
    for note in run.notes:
        found += _in_data(needles, note.encode(), "what was noted, such as a traceback")
    for plant in plants:
        shown = f"{plant.connection!r} {plant.connection} {dataclasses.asdict(plant.connection)}"
        found += _in_data(needles, shown.encode(), "the repr of the connection")
    return sorted(set(found))


# == What is looked for ===========================================================================================

_Needles = list[tuple[str, str, bytes]]


def _needles(plants: Iterable[Planted]) -> _Needles:
    found: _Needles = []
    for plant in plants:
        for field, canary in plant.canaries.items():
            data = canary.encode()
            found += [
                (field, "plain", data),
                (field, "hex", data.hex().encode()),
                (field, "utf-16", canary.encode("utf-16-le")),
            ]
            for offset in range(3):  # it may begin at any of three places of a group
                text = b64encode(bytes(offset) + data)
                core = text[-(-offset * 8 // 6) : len(text) - 4]
                found += [(field, "base64", core), (field, "base64", core.translate(bytes.maketrans(b"+/", b"-_")))]
    return found


def _in_data(needles: _Needles, data: bytes, where: str, depth: int = 0) -> list[Leak]:
    found = [Leak(field, form, where) for field, form, needle in needles if needle in data]
    if depth < _DEEPEST:
        for how, inner in _unpacked(data):
            found += _in_data(needles, inner, f"{where.removesuffix(how)}{how}", depth + 1)
    return found


def _unpacked(data: bytes) -> Iterator[tuple[str, bytes]]:
    if data[:2] == b"\x1f\x8b" or data[:1] == b"\x78":
        with suppress(zlib.error):
            yield ", unpacked", zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(data, _MOST_UNPACKED)
    for match in _BASE64.finditer(data):
        text = match[0].rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
        if len(text) % 4 != 1:
            yield ", decoded", b64decode(text + b"=" * (-len(text) % 4))


# == Where it is looked for =======================================================================================


def _in_files(needles: _Needles, folder: Path, places: Iterable[Path]) -> Iterator[Leak]:
    for place in places:
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file():
                where = path.relative_to(folder) if path.is_relative_to(folder) else path
                yield from _in_data(needles, path.read_bytes(), f"the file {where}")


def _in_database(needles: _Needles, path: Path) -> Iterator[Leak]:
    """Cell by cell: a payload that is packed, or lies across pages of the file, is seen whole."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        db.text_factory = bytes
        tables = [name.decode() for (name,) in db.execute("select name from sqlite_master where type='table'")]
        for table in tables:
            for row in db.execute(f'select * from "{table}"'):
                for cell in row:
                    if isinstance(cell, bytes):
                        yield from _in_data(needles, cell, f"the table {table} of the database")


async def _dtf(*words: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dtf_runtime.cli", *words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    if process.returncode:
        raise AssertionError(
            f"dtf {words[0]} ended with {process.returncode}: {printed.decode(errors='replace')[:500]}"
        )
    return printed


@contextmanager
def _all_logs() -> Iterator[io.StringIO]:
    """Everything that anybody logs, at DEBUG, by a handler that masks nothing."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))
    loggers = [logging.getLogger(), *(logging.getLogger(name) for name in _LOGGERS)]
    before = [(logger, logger.level, logger.propagate, logger.disabled) for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
        logger.propagate, logger.disabled = True, False
    loggers[0].addHandler(handler)
    try:
        yield text
    finally:
        loggers[0].removeHandler(handler)
        for logger, level, propagate, disabled in before:
            logger.setLevel(level)
            logger.propagate, logger.disabled = propagate, disabled
