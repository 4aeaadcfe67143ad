"""DynamoDB's typed values as JSON and back.

Texts, whole numbers, floats, booleans, null, lists and maps are what they look like. What JSON has not is written `{"$type": "N", "value": "1.10"}`,
with DynamoDB's own names: B (base64), SS, NS, BS, and N for a number that a float would change. What was read can be written back unchanged.
"""

import base64
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from connectors.core import InvalidRequest

_TYPE, _VALUE = "$type", "value"
_LARGEST = 10**38  # DynamoDB has 38 digits: what is larger can only have been a float


def written(value: Any) -> dict[str, Any]:
    """One value in DynamoDB's form. Raises InvalidRequest."""
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, int | float | Decimal):
        return {"N": _number(value)}
    if isinstance(value, bytes):
        return {"B": value}
    if isinstance(value, Mapping):
        if value.keys() == {_TYPE, _VALUE}:
            return _typed(value[_TYPE], value[_VALUE])
        return {"M": {str(name): written(item) for name, item in value.items()}}
    if isinstance(value, list | tuple):
        return {"L": [written(item) for item in value]}
    raise InvalidRequest(f"a {type(value).__name__} is no value of DynamoDB")


def _number(value: int | float | Decimal) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST:
        value = int(value)  # its repr may be rounded, and what is read back has to be the same
    text = format(Decimal(repr(value)) if isinstance(value, float) else Decimal(value), "f")
    if "n" in text.lower():
        raise InvalidRequest("DynamoDB has neither NaN nor infinity")
    return text


def _typed(kind: Any, value: Any) -> dict[str, Any]:
    if kind == "B":
        return {"B": base64.b64decode(value)}
    if kind == "BS":
        return {"BS": [base64.b64decode(one) for one in value]}
    if kind in ("N", "SS", "NS"):
        return {kind: value}
    raise InvalidRequest(f"{kind!r} is none of B, BS, N, NS, SS")


def read(value: Mapping[str, Any]) -> Any:
    ((kind, inner),) = value.items()
    if kind == "NULL":
        return None
    if kind == "N":
        return _plain(inner)
    if kind == "M":
        return {name: read(item) for name, item in inner.items()}
    if kind == "L":
        return [read(item) for item in inner]
    if kind == "B":
        return {_TYPE: kind, _VALUE: base64.b64encode(bytes(inner)).decode()}
    if kind == "BS":
        return {_TYPE: kind, _VALUE: sorted(base64.b64encode(bytes(one)).decode() for one in inner)}
    if kind in ("SS", "NS"):
        return {_TYPE: kind, _VALUE: sorted(inner)}
    return inner


def _plain(text: str) -> Any:
    number = Decimal(text)
    if number == number.to_integral_value():
        return int(number) if abs(number) < _LARGEST else float(text)
    return float(text) if Decimal(repr(float(text))) == number else {_TYPE: "N", _VALUE: text}


def item_of(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: written(value) for name, value in values.items()}


def read_item(raw: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: read(value) for name, value in (raw or {}).items()}
