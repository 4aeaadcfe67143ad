"""Reads `api.pyi`: what it declares, as plain data. It must never import the package that is held against it."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import Parameter
from pathlib import Path

STUB = Path(__file__).with_name("api.pyi")
TESTING_HEADING = "# == dtf_runtime.testing "

Definition = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class ParameterSpec:
    name: str
    kind: str  # as `inspect.Parameter` calls it: "POSITIONAL_ONLY", ...
    default: ast.expr | None  # None: required


@dataclass(frozen=True)
class FunctionSpec:
    """A function or method, with one signature for each overload; `self` is left out."""

    name: str
    overloads: tuple[tuple[ParameterSpec, ...], ...]
    is_async: bool


@dataclass(frozen=True)
class ClassSpec:
    name: str
    bases: tuple[str, ...]  # names only, without what stands in brackets
    dataclass_options: frozenset[str] | None  # None: not a dataclass; the options that are True
    fields: tuple[tuple[str, ast.expr | None], ...]  # annotated names with their defaults, in order
    constants: tuple[tuple[str, ast.expr], ...]  # assigned without an annotation: the members of an enum
    properties: frozenset[str]
    methods: tuple[FunctionSpec, ...]

    @property
    def is_exception(self) -> bool:
        return any(base.endswith(("Error", "Exception")) for base in self.bases)

    @property
    def is_enum(self) -> bool:
        return "StrEnum" in self.bases

    @property
    def is_protocol(self) -> bool:
        return "Protocol" in self.bases


@dataclass(frozen=True)
class ModuleSpec:
    classes: dict[str, ClassSpec]
    functions: dict[str, FunctionSpec]
    constants: frozenset[str]

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self.classes) | frozenset(self.functions) | self.constants


def load() -> tuple[ModuleSpec, ModuleSpec]:
    """What `dtf_runtime` exports, and what `dtf_runtime.testing` does."""
    text = STUB.read_text(encoding="utf-8")
    first_line_of_testing = text[: text.index(TESTING_HEADING)].count("\n") + 1
    body = ast.parse(text).body
    runtime = [node for node in body if node.lineno < first_line_of_testing]
    testing = [node for node in body if node.lineno >= first_line_of_testing]
    return _module(runtime), _module(testing)


def _module(body: list[ast.stmt]) -> ModuleSpec:
    classes = [_class(node) for node in body if isinstance(node, ast.ClassDef)]
    functions = _functions([node for node in body if isinstance(node, Definition)], drop_first=False)
    constants = [name for name, _ in (*_annotated(body), *_assigned(body))]
    return ModuleSpec(
        {spec.name: spec for spec in classes if _is_public(spec.name)},
        {spec.name: spec for spec in functions if _is_public(spec.name)},
        frozenset(name for name in constants if _is_public(name)),
    )


def _is_public(name: str) -> bool:
    return not name.startswith("_")


def _class(node: ast.ClassDef) -> ClassSpec:
    definitions = [item for item in node.body if isinstance(item, Definition)]
    properties = [item for item in definitions if "property" in _decorators(item)]
    return ClassSpec(
        name=node.name,
        bases=tuple(_bare_name(base) for base in node.bases),
        dataclass_options=_dataclass_options(node),
        fields=tuple(_annotated(node.body)),
        constants=tuple(_assigned(node.body)),
        properties=frozenset(item.name for item in properties),
        methods=tuple(_functions([item for item in definitions if item not in properties], drop_first=True)),
    )


def _annotated(body: list[ast.stmt]) -> Iterator[tuple[str, ast.expr | None]]:
    for node in body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id, node.value


def _assigned(body: list[ast.stmt]) -> Iterator[tuple[str, ast.expr]]:
    for node in body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, node.value


def _decorators(node: Definition) -> list[str]:
    return [_bare_name(decorator) for decorator in node.decorator_list]


def _dataclass_options(node: ast.ClassDef) -> frozenset[str] | None:
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and _bare_name(decorator.func) == "dataclass":
            return frozenset(keyword.arg for keyword in decorator.keywords if keyword.arg)
    return None


def _bare_name(node: ast.expr) -> str:
    if isinstance(node, ast.Subscript):
        return _bare_name(node.value)
    if isinstance(node, ast.Attribute):
        return node.attr
    assert isinstance(node, ast.Name), ast.dump(node)
    return node.id


def _functions(nodes: list[Definition], *, drop_first: bool) -> Iterator[FunctionSpec]:
    by_name: dict[str, list[Definition]] = {}
    for node in nodes:
        by_name.setdefault(node.name, []).append(node)
    for name, group in by_name.items():
        overloads = tuple(tuple(_parameters(node.args))[drop_first:] for node in group)
        yield FunctionSpec(name, overloads, isinstance(group[0], ast.AsyncFunctionDef))


def _parameters(arguments: ast.arguments) -> Iterator[ParameterSpec]:
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + list(arguments.defaults)
    for index, (argument, default) in enumerate(zip(positional, defaults, strict=True)):
        kind = Parameter.POSITIONAL_ONLY if index < len(arguments.posonlyargs) else Parameter.POSITIONAL_OR_KEYWORD
        yield ParameterSpec(argument.arg, kind.name, default)
    if arguments.vararg:
        yield ParameterSpec(arguments.vararg.arg, Parameter.VAR_POSITIONAL.name, None)
    for argument, keyword_default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield ParameterSpec(argument.arg, Parameter.KEYWORD_ONLY.name, keyword_default)
    if arguments.kwarg:
        yield ParameterSpec(arguments.kwarg.arg, Parameter.VAR_KEYWORD.name, None)
