r"""What a secret looks like in text: headers, `key=value` pairs, URLs, well-known token shapes.

The rules would rather mask a word too many than leave half a secret. Each is guarded by words that must occur in the
lower-cased text, since a substring test is a hundred times cheaper than a search. No rule may take more than linear
time, and masking what is masked changes nothing. The expressions are compiled when the first text is redacted.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

MASK = "***"

_NAMES = (
    r"pass(?:word|wd|phrase)|pwd|secret|signature|(?<![a-z])sig(?![a-z])|credential"
    r"|(?:api|access|account|private|subscription|encryption|auth)[_-]?key"
)
_NAME = rf"(?:{_NAMES}|token(?!s[\"']?\s*[:=]\s*\d+\b))"  # `tokens=512` is a count
_HEADER = r"(?:authorization|cookie)"
# `=`, `: `, `":`, `\":` and, between the quoted elements of a pair, `', '`
_SEPARATOR = r"[\w-]{0,32}+(?:\\?[\"']?\s{0,8}+[:=]>?\s{0,8}+|\\?[\"']\s{0,8}+,\s{0,8}+)"
# A quoted value (its end may be missing: texts get cut), the same inside a JSON string; before it perhaps b or a call.
_QUOTED = (
    r"(?:[A-Za-z_]\w{0,40}\()?[bBrRfFuU]{0,2}"
    r"(?:\"(?:[^\"\\]|\\(?:.|\Z))*\"?|'(?:[^'\\]|\\(?:.|\Z))*'?"
    r"|\\\"(?:[^\"\\]|\\\\(?:\\.|[^\\]))*(?:\\\")?|\\'(?:[^'\\]|\\\\(?:\\.|[^\\]))*(?:\\')?)"
)
_MASKED = rf"(?!{re.escape(MASK)}(?:[\s\"'&;<>)\]}},]|$))"


class Rule(NamedTuple):
    """`pattern` is tried only on texts that hold one of `words` (lower case)."""

    words: tuple[str, ...]
    pattern: re.Pattern[str]
    replacement: str | Callable[[re.Match[str]], str]


def _mask_value(match: re.Match[str]) -> str:
    """Keeps the name, the separator and the quotes, so that JSON stays JSON."""
    name, value = match[1], match[2]
    quote = value[:2] if value[0] == "\\" else value[0]
    return f"{name}{quote}{MASK}{quote}" if quote[-1] in "\"'" else name + MASK


@cache
def rules() -> tuple[Rule, ...]:
    """All rules, in the order in which they apply."""

    def rule(words: str, pattern: str, replacement: str | Callable[[re.Match[str]], str], flags: int = 0) -> Rule:
        return Rule(tuple(words.split("|")), re.compile(pattern, flags), replacement)

    nocase = re.IGNORECASE | re.DOTALL
    return (
        rule(
            "private key", r"-----BEGIN ([A-Z ]{0,40})PRIVATE KEY-----.*?(?:-----END \1PRIVATE KEY-----|\Z)", MASK, re.S
        ),
        rule("authorization|cookie", rf"({_HEADER}{_SEPARATOR})({_QUOTED}|{_MASKED}[^\r\n]+)", _mask_value, nocase),
        rule(
            "://",
            r"(?<=://)(?:[^\s/?#\"'<>]{1,2000}@|[^\s/?#\"'<>:@]{0,200}:(?!\d{1,5}[/?#])[^\s\"'<>@]{0,2000}@)",
            MASK + "@",
        ),
        rule("bearer", r"\b(bearer\s{1,8})[\w.~+/=-]{8,}", rf"\1{MASK}", nocase),
        rule(
            "pass|pwd|secret|token|sig|credential|key",
            rf"({_NAME}{_SEPARATOR})({_QUOTED}|{_MASKED}[^\s\"'&;<>]+)",
            _mask_value,
            nocase,
        ),
        rule("akia|asia", r"(?<![A-Z0-9])A(?:KI|SI)A[A-Z0-9]{16}(?![A-Z0-9])", MASK),
        rule("eyj", r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?", MASK),  # a JSON web token
        rule("incomingwebhook/", r"(/IncomingWebhook/)[^\s\"'<>]+", rf"\1{MASK}", nocase),  # the URL is the credential
    )


@cache
def secret_name() -> re.Pattern[str]:
    """Matches the names of fields and headers whose value is a secret."""
    return re.compile(rf"{_NAMES}|token(?!s$)|{_HEADER}", re.IGNORECASE)
