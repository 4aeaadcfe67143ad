"""A credential in memory. It shows itself to nobody: not in a repr, a log or a traceback, and it can't be an input, a result or a heartbeat."""

from typing import Any, NoReturn

from dtf_runtime.tracing import redact_value


class Secret:
    """`reveal()` gives the text, for the line that sends it. From its creation the text is masked in every log of ours."""

    __slots__ = ("_text",)

    def __init__(self, text: "str | Secret") -> None:
        self._text = text.reveal() if isinstance(text, Secret) else str(text)
        redact_value(self._text)

    def reveal(self) -> str:
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __repr__(self) -> str:
        return "Secret(***)"

    def __format__(self, spec: str) -> str:
        return "***"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled: pass the name of a connection instead")

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: Any) -> "Secret":
        return self
