"""The embedded provider: one SQLite file, any number of processes. `connect("sqlite:///orders.db")`."""

from typing import Any


def connect(url: str, **options: Any) -> Any:
    """`sqlite:///relative.db` or `sqlite:////absolute.db`. Options: `synchronous` ("full", or "normal": a power cut may lose the last turns)."""
    from dtf_runtime.providers.sqlite.provider import SqliteService

    return SqliteService(url, **options)
