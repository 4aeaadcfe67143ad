"""Whether an answer is what its call's `check` wants. Pure."""

from typing import Any

import msgspec

from connectors.http.models import Check, HttpResponse

_MISSING = object()


def failing(check: Check, answer: HttpResponse) -> str:
    """What is wrong, in words that hold nothing of the answer; "" when all is well."""
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if check.content_type is not None and kind != check.content_type.lower():
        return f"the answer is not {check.content_type}"
    for name, value in check.headers.items():
        if answer.headers.get(name.lower()) != value:
            return f"the answer's header {name} is not as expected"
    if check.contains is not None and check.contains not in answer.text:
        return "the answer does not contain the expected text"
    if check.json:
        try:
            document = answer.json()
        except msgspec.DecodeError:
            return "the answer is not JSON"
        for pointer, value in check.json.items():
            if at(document, pointer) != value:
                return f"the answer's {pointer or 'JSON'} is not as expected"
    return ""


def at(document: Any, pointer: str, missing: Any = _MISSING) -> Any:
    """What a JSON pointer (RFC 6901) leads to; `missing` when it leads nowhere."""
    for step in pointer.split("/")[1:] if pointer else ():
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict) and name in document:
            document = document[name]
        elif isinstance(document, list) and name.isdigit() and int(name) < len(document):
            document = document[int(name)]
        else:
            return missing
    return document
