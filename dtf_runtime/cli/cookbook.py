"""`dtf cookbook`: hands out the recipes, workflows of one file each. It must never overwrite a file unasked."""

import ast
import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

import dtf_runtime
from dtf_runtime import DefinitionNotFoundError, InvalidArgumentError, InvalidStateError
from dtf_runtime.cli.commands import Session, command
from dtf_runtime.cli.terminal import emit, note, show, table, text


class RecipeNotFoundError(DefinitionNotFoundError):
    """The cookbook has no recipe of that name."""


def register(app: typer.Typer) -> None:
    book = typer.Typer(no_args_is_help=True, help="Workflows to copy, one file each.")
    app.add_typer(book, name="cookbook")

    @command(book, "list")
    def list_recipes(session: Session) -> None:
        """List the recipes."""
        found = [(name, description(file)) for name, file in sorted(recipes().items())]
        if session.json:
            emit([{"name": name, "description": line} for name, line in found])
        else:
            show(table(("recipe", "what it does"), [(text(name, "bold"), text(line)) for name, line in found]))
            note("dtf cookbook copy NAME [DIR]")

    @command(book, "copy")
    def copy(
        session: Session,
        name: Annotated[str, typer.Argument(help="The recipe.", show_default=False)],
        folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where to.")] = Path("."),
        force: Annotated[bool, typer.Option("--force", help="Replace a file of that name.")] = False,
    ) -> None:
        """Copy a recipe into a folder, this one by default."""
        target = copy_recipe(name.removesuffix(".py"), folder, force=force)
        emit({"file": str(target)}) if session.json else note(
            f"copied to {target}; run it: python {target}, its first lines say how"
        )


def folder_of_recipes() -> Path:
    """In a wheel they are data of the package, in a checkout they lie beside it."""
    package = Path(dtf_runtime.__file__).parent
    packed = package / "_cookbook"
    return packed if packed.is_dir() else package.parent / "cookbook"


def recipes() -> dict[str, Path]:
    return {file.stem: file for file in _files(folder_of_recipes())}


def _files(folder: Path) -> Iterator[Path]:
    return (file for file in folder.glob("*.py") if not file.stem.startswith("_"))


def description(recipe: Path) -> str:
    """The first line of its docstring."""
    docstring = ast.get_docstring(ast.parse(recipe.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0]


def copy_recipe(name: str, folder: Path, *, force: bool) -> Path:
    """The file written. Unknown: RecipeNotFoundError; a file is in the way and not `force`: InvalidStateError."""
    known = recipes()
    if name not in known:
        close = difflib.get_close_matches(name, known) or sorted(known)
        raise RecipeNotFoundError(
            f"the cookbook has no recipe {name!r}; did you mean {', '.join(close) or 'another one'}?"
        )
    target = folder / known[name].name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with target.open("wb" if force else "xb") as file:
            file.write(known[name].read_bytes())
    except FileExistsError as error:
        raise InvalidStateError(f"{target} exists: copy to another folder, or --force to replace it") from error
    except OSError as error:
        raise InvalidArgumentError(f"can't write {target}: {error.strerror}") from error
    return target
