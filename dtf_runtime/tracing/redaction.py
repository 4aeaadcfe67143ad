"""Masks secrets in whatever is about to be logged: the message, the fields, the exception's text.

Every handler of ours passes each record through `redactor`; a user's handler may (`handler.addFilter(redactor)`).
Two means: what looks like a secret (`_patterns.py`), and literal values that connectors register when they get hold of
them (`redact_value`). It must never raise, and never let a text through because it could not be read.
"""

import copy
import logging
import threading
from collections.abc import Mapping, Set
from typing import cast

from dtf_runtime.tracing._patterns import MASK, rules, secret_name

_SHORTEST = 4  # characters; masking every "a" would hide more than it saves
_NAMES = frozenset(  # as values they are no secrets, and masked they would hide the names by which others are found
    (
        "apikey",
        "auth",
        "authorization",
        "bearer",
        "cookie",
        "credential",
        "credentials",
        "passwd",
        "password",
        "secret",
        "signature",
        "token",
    )
)
_MOST = 1_000  # registered values; tokens get refreshed for months, so the oldest go
_DEEPEST = 12
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_exceptions = logging.Formatter()


class Redactor(logging.Filter):
    """Masks secrets. As a filter it changes the record in place: whatever handles it later sees the masked one."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._added: dict[str, None] = {}
        self._literals: tuple[str, ...] = ()  # longest first, so that no tail of one is left by a shorter one

    def add(self, value: str) -> None:
        """Masks this very text from now on, plain and as it looks in URLs and JSON. Under 4 characters, or just "token" and the like: ignored."""
        if len(value) < _SHORTEST or value.lower() in _NAMES:
            return
        with self._lock:
            self._added.pop(value, None)
            self._added[value] = None
            while len(self._added) > _MOST:
                del self._added[next(iter(self._added))]
            forms = {form for added in self._added for form in _forms(added)}
            self._literals = tuple(sorted(forms, key=len, reverse=True))

    def text(self, text: str) -> str:
        """The text with each secret replaced by `***`. Linear in its length."""
        for literal in self._literals:
            if literal in text:
                text = text.replace(literal, MASK)
        lower = text.lower()
        for words, pattern, replacement in rules():
            for word in words:
                if word in lower:
                    text = pattern.sub(replacement, text)
                    break
        return text

    def value(self, value: object, *, _depth: int = 0) -> object:
        """The same for data. Mappings and sequences are copied, a value under a secret's name is masked whole, and an
        object whose text holds a secret becomes its masked text; anything else stays as it is."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            return self.text(value)
        if _depth < _DEEPEST:
            if isinstance(value, Mapping):
                return {self._key(key): self._item(key, item, _depth) for key, item in value.items()}
            if isinstance(value, list | tuple | Set):
                return [self.value(item, _depth=_depth + 1) for item in value]
        text = _text_of(value)
        masked = self.text(text)
        return value if masked == text else masked

    def filter(self, record: logging.LogRecord) -> bool:
        """Redacts this record in place; always True."""
        record.msg, record.args = self.text(_message(record)), ()
        if record.exc_info or record.exc_text:
            # Both go: a handler that formats `exc_info` by itself would bring back what was masked.
            record.exc_text = self.text(record.exc_text or _traceback(record))
            record.exc_info = None
        if record.stack_info:
            record.stack_info = self.text(record.stack_info)
        for name in vars(record).keys() - _STANDARD:
            setattr(record, name, self._item(name, getattr(record, name), 0))
        return True

    def redacted(self, record: logging.LogRecord) -> logging.LogRecord:
        """A redacted copy; the record itself, which other handlers see, is left alone."""
        record = copy.copy(record)
        self.filter(record)
        return record

    def _key(self, key: object) -> object:
        return self.text(key) if isinstance(key, str) else key

    def _item(self, key: object, item: object, depth: int) -> object:
        if item is None or isinstance(item, bool):
            return item
        if isinstance(key, bytes):
            key = key.decode("latin-1")
        if isinstance(key, str) and secret_name().search(key):
            return MASK
        return self.value(item, _depth=depth + 1)


redactor = Redactor()
"""The one that every handler of ours uses."""


def redact_value(value: str) -> None:
    """Never log this text again, wherever it turns up: for secrets that are known only at run time."""
    redactor.add(value)


def _forms(value: str) -> set[str]:
    from json import dumps
    from urllib.parse import quote, quote_plus

    encoded = value.encode("utf-8", "surrogatepass")
    forms = {value, repr(value)[1:-1], dumps(value)[1:-1], dumps(value, ensure_ascii=False)[1:-1]}
    return forms | {quote(encoded), quote(encoded, safe=""), quote_plus(encoded)}


def _text_of(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("utf-8", "backslashreplace")
    try:
        return str(value)
    except Exception as error:
        return f"<a {type(value).__qualname__}; its text raised {type(error).__name__}>"


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # wrong arguments for the format: logging would print them unmasked
        return f"{_text_of(record.msg)} % {_text_of(record.args)}"


def _traceback(record: logging.LogRecord) -> str:
    try:
        # `exc_info` is truthy here, and LogRecord has made it a tuple
        return _exceptions.formatException(cast(tuple[None, None, None], record.exc_info))
    except Exception as error:
        return f"<a traceback that could not be formatted: {type(error).__name__}>"
