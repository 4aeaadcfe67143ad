"""Writes the skeleton of a connector from the templates beside this file. Must never write over anything."""

import keyword
import re
from collections.abc import Iterator
from pathlib import Path

from dtf_runtime import InvalidArgumentError, InvalidStateError
from dtf_runtime.plugins import connector_names

TEMPLATES = Path(__file__).with_name("connectors_template")
_NAME = re.compile(r"[a-z][a-z0-9]{1,39}")
_SUFFIX = ".tmpl"


def write(name: str, into: Path) -> Path:
    """The folder `dtf-connector-NAME` in `into`. Raises InvalidArgumentError for a name that can't be, InvalidStateError for one in the way."""
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise InvalidArgumentError(
            f"a connector's name has 2 to 40 lower-case letters and digits and begins with a letter, not {name!r}: "
            "it begins the names of its activities and the names of its variables"
        )
    if name in connector_names():
        raise InvalidStateError(f"a connector {name!r} is installed already: choose another name")
    target = into / f"dtf-connector-{name}"
    try:
        target.mkdir(parents=True)
        for path, content in rendered(name):
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (target / path).write_text(content, encoding="utf-8")
    except FileExistsError as error:
        raise InvalidStateError(f"{target} exists: --into names another folder") from error
    except OSError as error:
        raise InvalidArgumentError(f"can't write {target}: {error.strerror}") from error
    return target


def rendered(name: str) -> Iterator[tuple[Path, str]]:
    """Each file: its path below the folder, and its text."""
    for template in sorted(TEMPLATES.rglob(f"*{_SUFFIX}")):
        path = template.relative_to(TEMPLATES).as_posix().removesuffix(_SUFFIX)
        yield Path(_filled(path, name)), _filled(template.read_text(encoding="utf-8"), name)


def _filled(text: str, name: str) -> str:
    words = {"@name@": name, "@Name@": name.capitalize(), "@NAME@": name.upper()}
    for word, value in words.items():
        text = text.replace(word, value)
    return text
