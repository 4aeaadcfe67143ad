"""The package's inline annotations say what the contract says: mypy reads both and each public type is compared.

Compared as mypy prints them, without module names (a class may live anywhere inside the package) and with type
variables numbered (theirs may have other names). Parameters that start with an underscore are ours.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from mypy.build import BuildResult, build
from mypy.modulefinder import BuildSource
from mypy.nodes import ArgKind, Decorator, MypyFile, OverloadedFuncDef, SymbolNode, TypeAlias, TypeInfo, Var
from mypy.options import Options
from mypy.types import CallableType, Overloaded, ProperType, Type, get_proper_type

import dtf_runtime
from tests.contract.stub import STUB, ClassSpec, load

CONTRACT = "the_contract"
PACKAGE = "dtf_runtime"
ROOT = Path(dtf_runtime.__file__).parents[1]

RUNTIME, TESTING = load()
CLASSES = {**RUNTIME.classes, **TESTING.classes}
FOR_TYPE_CHECKERS = {"send", "throw", "close"}  # of Call: its spelling there is free


def member_names(spec: ClassSpec) -> Iterator[str]:
    if not spec.is_enum:
        yield from (name for name, _ in spec.fields)
    yield from spec.properties
    yield from (method.name for method in spec.methods if method.name not in FOR_TYPE_CHECKERS)
    if spec.dataclass_options is not None:
        yield "__init__"


@dataclass(frozen=True)
class Signature:
    """Of an attribute: the result alone."""

    result: str
    parameters: dict[str, str] = field(default_factory=dict)  # name (or place): kind and type
    positional: int = 0  # that many of them come by place, in this order


MEMBERS = sorted(f"{spec.name}.{name}" for spec in CLASSES.values() for name in member_names(spec))
GLOBALS = sorted({*RUNTIME.functions, *RUNTIME.constants, *TESTING.functions, *TESTING.constants})


@pytest.fixture(scope="module")
def read() -> BuildResult:
    """Both, parsed and analysed by mypy in this process."""
    options = Options()
    options.python_version = (3, 11)
    options.incremental = False
    options.namespace_packages = True
    options.explicit_package_bases = True
    options.mypy_path = [str(ROOT)]
    package = ROOT / PACKAGE
    sources = [
        BuildSource(str(STUB), CONTRACT),
        BuildSource(str(package / "__init__.py"), PACKAGE),
        BuildSource(str(package / "testing" / "__init__.py"), f"{PACKAGE}.testing"),
    ]
    return build(sources, options)


def pair(read: BuildResult, name: str) -> tuple[SymbolNode, SymbolNode]:
    """The contract's node and the package's, of a public name."""
    module = f"{PACKAGE}.testing" if name in TESTING.names else PACKAGE
    return node_of(read.files[CONTRACT], name), node_of(read.files[module], name)


def node_of(file: MypyFile, name: str) -> SymbolNode:
    node = file.names[name].node
    assert node is not None, f"mypy can't tell what {file.fullname}.{name} is"
    return node


@pytest.mark.parametrize("name", GLOBALS)
def test_a_function_or_constant_has_the_promised_type(read: BuildResult, name: str) -> None:
    promised, found = pair(read, name)
    check(described(found, None), described(promised, None))


@pytest.mark.parametrize("member", MEMBERS)
def test_a_member_has_the_promised_type(read: BuildResult, member: str) -> None:
    owner, _, name = member.partition(".")
    promised, found = (node for node in pair(read, owner))
    assert isinstance(promised, TypeInfo) and isinstance(found, TypeInfo)
    check(described(member_of(found, name), found), described(member_of(promised, name), promised))


def member_of(info: TypeInfo, name: str) -> SymbolNode:
    symbol = info.get(name)
    assert symbol is not None and symbol.node is not None, f"{info.name} has no {name} that a type checker can see"
    return symbol.node


def check(found: list[Signature], promised: list[Signature]) -> None:
    assert len(found) == len(promised), f"{len(found)} overloads: {found}"
    for ours, theirs in zip(found, promised, strict=True):
        assert ours.result == theirs.result
        accepted = {
            name: same_or_also_none(kind, theirs.parameters.get(name)) for name, kind in ours.parameters.items()
        }
        assert accepted == theirs.parameters
        assert list(accepted)[: theirs.positional] == list(theirs.parameters)[: theirs.positional]


def same_or_also_none(found: str, promised: str | None) -> str:
    """An optional parameter may take None too: no program that keeps to the contract notices."""
    is_optional = promised is not None and "_OPT " in promised
    if is_optional and promised is not None and set(found.split(" | ")) == {*promised.split(" | "), "None"}:
        return promised
    return found


# == A type, in words that don't depend on where it is written ====================================================


def described(node: SymbolNode, owner: TypeInfo | None) -> list[Signature]:
    """One a signature; the type alone for an attribute, whether it is a property or not."""
    if isinstance(node, TypeAlias):
        return [Signature(plain(node.target, {}))]
    declared: Type | None = getattr(node, "type", None)
    assert declared is not None, f"{node.fullname} has no annotation"
    kind = get_proper_type(declared)
    variables = dict.fromkeys(owner.type_vars, "") if owner else {}
    if is_property(node) and isinstance(kind, CallableType):
        return [Signature(plain(kind.ret_type, variables))]
    if isinstance(node, Var):
        return [Signature(plain(kind, variables))]
    items = kind.items if isinstance(kind, Overloaded) else [kind]
    return [signature(item, owner, dict(variables)) for item in items]


def is_property(node: SymbolNode) -> bool:
    if isinstance(node, OverloadedFuncDef):
        return node.is_property
    return isinstance(node, Decorator) and node.var.is_property


def signature(item: ProperType, owner: TypeInfo | None, variables: dict[str, str]) -> Signature:
    assert isinstance(item, CallableType)
    variables |= dict.fromkeys((variable.name for variable in item.variables), "")
    arguments = list(zip(item.arg_kinds, item.arg_names, item.arg_types, strict=True))[1 if owner else 0 :]
    parameters = {
        name or f"#{place}": f"{kind.name} {plain(type_, variables)}"
        for place, (kind, name, type_) in enumerate(arguments)
        if not is_private_option(kind, name)
    }
    by_place = sum(not kind.is_named() for kind, _, _ in arguments)
    return Signature(plain(item.ret_type, variables), parameters, by_place)


def is_private_option(kind: ArgKind, name: str | None) -> bool:
    return kind is ArgKind.ARG_NAMED_OPT and (name or "").startswith("_")


def plain(kind: Type, variables: dict[str, str]) -> str:
    """`datetime.timedelta | float` and `float | timedelta` read the same; a type variable is its number here."""

    def renamed(match: re.Match[str]) -> str:
        name = match[1]
        if name in variables:
            variables[name] = variables[name] or f"T{sum(map(bool, variables.values())) + 1}"
            return variables[name]
        return name

    text = re.sub(r"(?:[A-Za-z_]\w*\.)*([A-Za-z_]\w*)(?:`-?\d+)?", renamed, str(get_proper_type(kind)).rstrip("?"))
    has_nothing_nested = not set(text) & set("[(,")
    return " | ".join(sorted(text.split(" | "))) if has_nothing_nested else text
