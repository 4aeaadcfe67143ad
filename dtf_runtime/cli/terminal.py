"""Everything that reaches a terminal passes through here.

Data (inputs, errors, event names, custom statuses) may hold anything, so no control character of it is ever sent to
a terminal and nothing of it is read as markup: `visible` writes such characters as escapes, and rich is given
`Text`, never a string with markup. JSON goes to stdout alone; everything that is only for people, beside the answer
itself, goes to stderr.
"""

import io
import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

_CONTROL = r"\x00-\x1f\x7f-\x9f"
_DIRECTION = r"\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff"  # they reorder or hide what stands around them
_UNSAFE = re.compile(f"[{_CONTROL}{_DIRECTION}\ud800-\udfff]")
_UNSAFE_IN_LINE = re.compile(f"(?!\n){_UNSAFE.pattern}")
_UNSAFE_IN_JSON = re.compile(f"[\x7f-\x9f{_DIRECTION}\ud800-\udfff]")
_UNLIMITED = 10_000  # columns, where nobody looks at line ends


def visible(text: str, *, lines: bool = False) -> str:
    """The text with control and direction characters as escapes; `lines` keeps line breaks, and tabs as spaces."""
    if not lines:
        return _UNSAFE.sub(_escape, text)
    return _UNSAFE_IN_LINE.sub(_escape, text.replace("\r\n", "\n").replace("\t", "    "))


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    short = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}.get(character)
    code = ord(character)
    return short or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def text(value: object, style: str = "", *, lines: bool = False) -> "Text":
    from rich.text import Text

    return Text(visible(str(value), lines=lines), style=style)


def brief(value: Any, width: int = 80) -> str:
    """A JSON value on one line, cut to `width` characters, safe to print."""
    line = visible(json.dumps(value, ensure_ascii=False, default=str))
    return line if len(line) <= width else line[: width - 1] + "…"


def console(*, error: bool = False) -> "Console":
    """A console on the stream as it is now. Piped output is never cut or folded to a width."""
    from rich.console import Console

    stream = sys.stderr if error else sys.stdout
    width = None if stream.isatty() else _UNLIMITED
    return Console(file=stream, width=width, markup=False, emoji=False, highlight=False)


def show(*parts: "RenderableType") -> None:
    """The answer of a command, for people. In a pipe, without the spaces that fill up a table's last column."""
    target = console()
    if target.is_terminal:
        for part in parts:
            target.print(part)
        return
    with target.capture() as captured:
        for part in parts:
            target.print(part)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def note(message: str, style: str = "", *, lines: bool = False) -> None:
    """What is worth knowing beside the answer: to stderr."""
    console(error=True).print(text(message, style, lines=lines), soft_wrap=True)


def table(columns: Sequence[str], rows: Iterable[Sequence["Text"]]) -> "RenderableType":
    from rich import box
    from rich.table import Table

    drawn = Table(box=box.SIMPLE_HEAD if sys.stdout.isatty() else None, pad_edge=False)
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        drawn.add_row(*row)
    return drawn


def as_json(value: Any, *, indent: int | None = 2) -> str:
    """JSON for programs, harmless when a person looks at it. Text that is not ASCII stays readable."""
    return json_safe(json.dumps(value, ensure_ascii=False, indent=indent))


def json_safe(encoded: str) -> str:
    """Valid JSON in, the same values out: what a terminal might obey is written as an escape."""
    return _UNSAFE_IN_JSON.sub(lambda match: f"\\u{ord(match.group()):04x}", encoded)


def emit(value: Any, *, indent: int | None = 2) -> None:
    """One JSON value to stdout, always UTF-8."""
    emit_encoded(as_json(value, indent=indent))


def emit_encoded(encoded: str) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(encoded.encode() + b"\n")
    sys.stdout.buffer.flush()


class _SafeStderr(io.TextIOBase):
    """For log handlers: the stderr of the moment (a live display may stand in for it), harmless to a terminal."""

    def write(self, written: str, /) -> int:
        sys.stderr.write(visible(written, lines=True))
        return len(written)

    def flush(self) -> None:
        sys.stderr.flush()


def safe_stderr() -> TextIO:
    return cast(TextIO, _SafeStderr())
