"""The package has the public names, parameters, kinds, defaults and base classes that the contract promises.

`api.pyi` beside this file is the contract. Types are held against it by `test_types.py`.
"""

import ast
import builtins
import collections.abc
import dataclasses
import enum
import inspect
import textwrap
from collections.abc import Iterable, Iterator
from inspect import Parameter
from pathlib import Path
from typing import Any

import pytest

import dtf_runtime
import dtf_runtime.testing
from tests.contract.stub import ClassSpec, FunctionSpec, ParameterSpec, load

RUNTIME, TESTING = load()
CLASSES = {**RUNTIME.classes, **TESTING.classes}
FUNCTIONS = {**RUNTIME.functions, **TESTING.functions}

# A Call is a Future at run time and nothing else: these make it a coroutine for type checkers alone.
FOR_TYPE_CHECKERS = {"Call": {"send", "throw", "close"}}
TYPING_BASES = {"Generic", "Protocol", "Coroutine"}

METHODS = [(spec, method) for spec in CLASSES.values() for method in spec.methods
           if method.name not in FOR_TYPE_CHECKERS.get(spec.name, ())]  # fmt: skip


def real(name: str) -> Any:
    module = dtf_runtime.testing if name in TESTING.names else dtf_runtime
    return getattr(module, name)


def described(spec: ClassSpec | tuple[ClassSpec, FunctionSpec]) -> str:
    return spec.name if isinstance(spec, ClassSpec) else f"{spec[0].name}.{spec[1].name}"


# == Names ========================================================================================================


def test_all_is_exactly_the_sorted_public_names() -> None:
    assert list(dtf_runtime.__all__) == sorted(RUNTIME.names)


def test_all_of_testing_is_exactly_the_sorted_public_names() -> None:
    assert list(dtf_runtime.testing.__all__) == sorted(TESTING.names)


@pytest.mark.parametrize("name", sorted(RUNTIME.names | TESTING.names))
def test_a_promised_name_exists(name: str) -> None:
    assert real(name) is not None


# == Signatures ===================================================================================================


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_function_takes_the_promised_parameters(name: str) -> None:
    check_function(FUNCTIONS[name], real(name), skip_first=False)


@pytest.mark.parametrize("spec", METHODS, ids=described)
def test_a_method_takes_the_promised_parameters(spec: tuple[ClassSpec, FunctionSpec]) -> None:
    owner, method = spec
    check_function(method, getattr(real(owner.name), method.name), skip_first=True)


def check_function(spec: FunctionSpec, function: Any, *, skip_first: bool) -> None:
    assert inspect.iscoroutinefunction(function) == spec.is_async, "one of them is a coroutine function, the other not"
    whole = inspect.signature(function)
    found = list(whole.parameters.values())[skip_first:]
    if len(spec.overloads) > 1:
        check_overloads(spec, whole.replace(parameters=found, return_annotation=Any))
        return
    (promised,) = spec.overloads
    public = [parameter for parameter in found if not is_private_option(parameter)]
    assert positional(public) == positional(promised)
    assert named(public) == named(promised)
    check_defaults(promised, public)


def check_overloads(spec: FunctionSpec, found: inspect.Signature) -> None:
    """What runs may take `*inputs` or `**options` where the overloads name them, as long as it takes their calls."""
    for overload in spec.overloads:
        required = [parameter for parameter in overload if parameter.default is None]
        for parameters in (required, overload):
            bind(found, parameters, by_name=("KEYWORD_ONLY",))
            bind(found, parameters, by_name=("KEYWORD_ONLY", "POSITIONAL_OR_KEYWORD"))
        names = {parameter.name for parameter in overload}
        shared = [parameter for parameter in found.parameters.values() if parameter.name in names]
        check_defaults(overload, shared, in_part=True)


def bind(found: inspect.Signature, parameters: Iterable[ParameterSpec], by_name: tuple[str, ...]) -> None:
    named = {parameter.name: "a value" for parameter in parameters if parameter.kind in by_name}
    found.bind(*["a value" for parameter in parameters if parameter.name not in named], **named)


def is_private_option(parameter: Parameter) -> bool:
    """A keyword that starts with an underscore and may be left out is ours, not the user's."""
    is_optional_keyword = parameter.kind is Parameter.KEYWORD_ONLY and parameter.default is not Parameter.empty
    return is_optional_keyword and parameter.name.startswith("_")


def positional(parameters: Iterable[Parameter | ParameterSpec]) -> list[tuple[str, str]]:
    """Names and kinds, in order: the order is the user's to count on."""
    return [pair for pair in names_and_kinds(parameters) if pair[1] not in ("KEYWORD_ONLY", "VAR_KEYWORD")]


def named(parameters: Iterable[Parameter | ParameterSpec]) -> set[tuple[str, str]]:
    return {pair for pair in names_and_kinds(parameters) if pair[1] in ("KEYWORD_ONLY", "VAR_KEYWORD")}


def names_and_kinds(parameters: Iterable[Parameter | ParameterSpec]) -> list[tuple[str, str]]:
    return [
        (parameter.name, parameter.kind if isinstance(parameter, ParameterSpec) else parameter.kind.name)
        for parameter in parameters
    ]


def check_defaults(promised: Iterable[ParameterSpec], found: Iterable[Parameter], *, in_part: bool = False) -> None:
    """In part: one overload of several, so that what it requires may be optional for the others' sake."""
    by_name = {parameter.name: parameter for parameter in promised}
    for parameter in found:
        default = by_name[parameter.name].default
        has_default = parameter.default is not Parameter.empty
        assert has_default or default is None, f"{parameter.name} is required"
        assert in_part or default is not None or not has_default, f"{parameter.name} has a default"
        if default is not None and is_settled(default):
            expected = evaluate(default)
            assert parameter.default == expected, f"{parameter.name} is {parameter.default!r}, not {expected!r}"


def is_settled(default: ast.expr) -> bool:
    """`...` and `_UNCHANGED` leave the value to the package."""
    is_open = isinstance(default, ast.Constant) and default.value is ...
    return not is_open and not (isinstance(default, ast.Name) and default.id.startswith("_"))


def evaluate(expression: ast.expr) -> Any:
    return eval(compile(ast.Expression(expression), "api.pyi", "eval"), vars(dtf_runtime))


# == Classes ======================================================================================================


@pytest.mark.parametrize("spec", CLASSES.values(), ids=described)
def test_a_class_has_the_promised_bases(spec: ClassSpec) -> None:
    cls = real(spec.name)
    mro = [base.__name__ for base in cls.__mro__]
    for base in spec.bases:
        assert base in mro or base in TYPING_BASES, f"{spec.name} is no {base}"
    if spec.is_protocol:
        assert getattr(cls, "_is_protocol", False)


@pytest.mark.parametrize("spec", [spec for spec in CLASSES.values() if spec.is_exception], ids=described)
def test_an_error_has_exactly_the_promised_bases(spec: ClassSpec) -> None:
    bases = tuple(public_bases(real(spec.name)))
    assert tuple(base.__name__ for base in bases) == spec.bases
    for base in bases:
        assert base is getattr(builtins, base.__name__, None) or base is getattr(dtf_runtime, base.__name__)


def public_bases(cls: type) -> Iterator[type]:
    """A private base is looked through."""
    for base in cls.__bases__:
        yield from public_bases(base) if base.__name__.startswith("_") else (base,)


@pytest.mark.parametrize("spec", [spec for spec in CLASSES.values() if spec.is_exception], ids=described)
def test_a_stored_error_type_reads_as_a_public_name(spec: ClassSpec) -> None:
    cls = real(spec.name)
    assert (cls.__module__, cls.__qualname__) == ("dtf_runtime", spec.name)


@pytest.mark.parametrize("spec", CLASSES.values(), ids=described)
def test_a_class_has_the_promised_attributes(spec: ClassSpec) -> None:
    promised = {name for name, _ in spec.fields} | spec.properties
    assert promised <= attributes(real(spec.name))


def attributes(cls: type) -> set[str]:
    """What an instance has: declared, annotated, or assigned to `self` in a method."""
    found = set(dir(cls))
    for base in cls.__mro__[:-1]:
        found |= set(vars(base).get("__annotations__", ()))
        if base.__module__.partition(".")[0] == "dtf_runtime":
            found |= assigned_to_self(methods_source(base))
    return found


def methods_source(cls: type) -> str:
    """Of those that somebody wrote: a generated one has no file."""
    functions = [inspect.unwrap(item) for item in vars(cls).values() if inspect.isfunction(item)]
    written = [function for function in functions if Path(function.__code__.co_filename).exists()]
    return "\n".join(textwrap.dedent(inspect.getsource(function)) for function in written)


def assigned_to_self(source: str) -> set[str]:
    return {
        node.attr
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }  # fmt: skip


@pytest.mark.parametrize("spec", [spec for spec in CLASSES.values() if spec.is_enum], ids=described)
def test_an_enum_has_exactly_the_promised_members(spec: ClassSpec) -> None:
    cls = real(spec.name)
    assert issubclass(cls, enum.StrEnum)
    assert {member.name: member.value for member in cls} == {name: evaluate(value) for name, value in spec.constants}


DATACLASSES = [spec for spec in CLASSES.values() if spec.dataclass_options is not None]


@pytest.mark.parametrize("spec", DATACLASSES, ids=described)
def test_a_dataclass_takes_exactly_the_promised_fields(spec: ClassSpec) -> None:
    cls: Any = real(spec.name)
    assert dataclasses.is_dataclass(real(spec.name))
    assert spec.dataclass_options is not None
    keyword_only = "kw_only" in spec.dataclass_options
    kind = Parameter.KEYWORD_ONLY if keyword_only else Parameter.POSITIONAL_OR_KEYWORD
    promised = [ParameterSpec(name, kind.name, default) for name, default in spec.fields]
    found = list(inspect.signature(cls).parameters.values())
    assert positional(found) == positional(promised)
    assert named(found) == named(promised)
    check_defaults(promised, found)


@pytest.mark.parametrize("spec", DATACLASSES, ids=described)
def test_a_dataclass_is_frozen(spec: ClassSpec) -> None:
    assert spec.dataclass_options is not None and "frozen" in spec.dataclass_options
    assert real(spec.name).__dataclass_params__.frozen


def test_a_call_is_a_future_and_no_coroutine() -> None:
    assert not issubclass(dtf_runtime.Call, collections.abc.Coroutine)


def test_pytest_does_not_collect_the_test_hub() -> None:
    assert dtf_runtime.testing.TestHub.__test__ is False
