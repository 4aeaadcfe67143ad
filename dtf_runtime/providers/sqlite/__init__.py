"""The embedded provider: one SQLite file, any number of processes. `connect("sqlite:///orders.db")`."""

from typing import Any

from dtf_runtime.errors import InvalidArgumentError


def connect(url: str, **options: Any) -> Any:
    """`sqlite:///relative.db` or `sqlite:////absolute.db`. Options: `synchronous` ("full", or "normal": a power cut may lose the last turns)."""
    unknown = sorted(set(options) - {"synchronous", "clock", "lease"})
    if unknown:
        raise InvalidArgumentError(
            f"sqlite:// takes the options 'synchronous', 'clock' and 'lease', not {', '.join(unknown)}"
        )
    from dtf_runtime.providers.sqlite.provider import SqliteService

    return SqliteService(url, **options)
