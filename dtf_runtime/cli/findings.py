"""What a check of `dtf doctor` found."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """`state`: ok, warning (works, but) or problem; `fix`: what to do, empty when there is nothing to do."""

    check: str
    state: str
    detail: str
    fix: str = ""


def ok(check: str, detail: str) -> Finding:
    return Finding(check, "ok", detail)


def warning(check: str, detail: str, fix: str = "") -> Finding:
    return Finding(check, "warning", detail, fix)


def problem(check: str, detail: str, fix: str) -> Finding:
    return Finding(check, "problem", detail, fix)
