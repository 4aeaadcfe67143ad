"""How records reach people and programs: one handler, two formats, and a logger that is silent while replaying.

`configure_logging` is for programs (the `dtf` command, a script); a library never calls it. What it installs must never
write a record that the redactor has not seen.
"""

import logging
import math
import sys
import time
from collections.abc import Callable, Mapping, MutableMapping, Set
from datetime import UTC, date, datetime
from enum import Enum
from json import dumps
from typing import Any, TextIO

from dtf_runtime.tracing.redaction import _DEEPEST, _STANDARD, _text_of, redactor

_CATALOGUE_ATTRIBUTES = frozenset({"dtf", "dtf_event", "dtf_event_id"})
_CHATTY = ("azure", "boto3", "botocore", "httpcore", "httpx", "s3transfer", "twilio", "urllib3")


class RedactingHandler(logging.StreamHandler[TextIO]):
    """Writes to a stream; each record passes the redactor first. The record itself is not changed."""

    def emit(self, record: logging.LogRecord) -> None:
        super().emit(redactor.redacted(record))


class TextFormatter(logging.Formatter):
    """One line for people: UTC time, level, logger, message; then the traceback, if any."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (ISO 8601, UTC), level, logger, message, and where there are any event, event_id,
    fields (the event's, and whatever else came in `extra`) and exception. It does not redact: the handler does."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "level": record.levelname,
            "logger": record.name,
        }
        if event := getattr(record, "dtf_event", None):
            line["event"], line["event_id"] = _plain(event), _plain(getattr(record, "dtf_event_id", None))
        line["message"] = record.getMessage()
        if fields := _fields(record):
            line["fields"] = _plain(fields)
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            line["exception"] = record.exc_text
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        return dumps(line)


def configure_logging(level: int | str = "INFO", json: bool = False, *, stream: TextIO | None = None) -> None:
    """Shows what the program logs from `level` on, as text or JSON lines on `stream` (default: stderr), redacted.

    For the whole process, as `logging.basicConfig` is; calling it again changes what the first call set up. HTTP and
    cloud libraries are shown from WARNING on: what they say below that is theirs, and plenty. An unknown level is a
    ValueError.
    """
    root = logging.getLogger()
    root.setLevel(level.upper() if isinstance(level, str) else level)
    handler = next((each for each in root.handlers if isinstance(each, RedactingHandler)), None)
    if handler is None:
        handler = RedactingHandler()
        handler.addFilter(_not_chatty)
    handler.setFormatter(JsonFormatter() if json else TextFormatter())
    handler.setStream(stream or sys.stderr)
    root.addHandler(handler)


class ReplayAwareLogger(logging.LoggerAdapter[logging.Logger]):
    """Says nothing while `is_replaying()` is true; otherwise adds `context` (instance_id and the like) to each record's
    fields. What the caller gives in `extra` goes along; a name that a record has already ("name", "message") goes into
    the fields, where plain logging raises KeyError: on replay it would not, and orchestrations must not differ then."""

    def __init__(
        self, logger: logging.Logger, is_replaying: Callable[[], bool], context: Mapping[str, object] | None = None
    ) -> None:
        self._context = context or {}
        super().__init__(logger, self._context)
        self._is_replaying = is_replaying

    def isEnabledFor(self, level: int) -> bool:
        return not self._is_replaying() and self.logger.isEnabledFor(level)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        fields, extra = dict(self._context), dict[str, object]()
        for name, value in (kwargs.get("extra") or {}).items():
            (fields if name in _STANDARD or name in _CATALOGUE_ATTRIBUTES else extra)[name] = value
        return msg, {**kwargs, "extra": {**extra, "dtf": fields}}


def _not_chatty(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or record.name.partition(".")[0] not in _CHATTY


def _fields(record: logging.LogRecord) -> dict[str, object]:
    others = {name: value for name, value in vars(record).items() if name not in _STANDARD | _CATALOGUE_ATTRIBUTES}
    given = getattr(record, "dtf", None)
    return {**others, **given} if isinstance(given, Mapping) else others


def _plain(value: object, depth: int = 0) -> object:
    """What json writes as valid JSON, whatever it is given: no NaN, no cycles, no strange keys."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Enum):
        return _plain(value.value, depth + 1)
    if isinstance(value, int):
        return value if value.bit_length() <= 1024 else hex(value)  # str() refuses huge ones
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, date):
        return value.isoformat()
    if depth < _DEEPEST:
        if isinstance(value, Mapping):
            return {_text_of(key): _plain(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple | Set):
            return [_plain(item, depth + 1) for item in value]
    return _text_of(value)
