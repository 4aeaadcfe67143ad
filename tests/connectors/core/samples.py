"""A connection and activities that the tests of the kit share. The service that they talk to is a dict."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import msgspec

from connectors.core import Connection, Secret


@dataclass(frozen=True, kw_only=True)
class ShopConnection(Connection):
    connector: ClassVar[str] = "shop"

    url: str = field(default="", metadata={"help": "where it is"})
    token: Secret | None = field(default=None, metadata={"help": "its key"})
    retries: int = field(default=2, metadata={"help": "attempts"})
    patience: float = field(default=1.5, metadata={"help": "seconds"})
    verify: bool = field(default=True, metadata={"help": "certificates"})
    ca_file: Path | None = field(default=None, metadata={"help": "authorities"})
    hosts: tuple[str, ...] = field(default=(), metadata={"help": "names"})
    mode: Literal["live", "test"] = field(default="live", metadata={"help": "which side"})
    hook: Any = field(default=None, metadata={"help": "a function"})


@dataclass(frozen=True, kw_only=True)
class ChainedConnection(Connection):
    """One whose SDK finds something by itself."""

    connector: ClassVar[str] = "chained"
    profile: str = field(default="", metadata={"help": "a profile"})

    @classmethod
    def from_chain(cls, name: str) -> Self | None:
        return cls(name=name, profile=f"profile of {name}") if name != "unknown" else None


class Order(msgspec.Struct, frozen=True, kw_only=True):
    item: str
    count: int = 1
