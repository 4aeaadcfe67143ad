"""The options that choose instances, for `list` and `purge` alike."""

from dataclasses import dataclass
from typing import Annotated

import typer

from dtf_runtime import OrchestrationQuery
from dtf_runtime.cli import parse

_AGO = "An instant, or how long ago: 2026-01-31T09:00Z, 30m, 7d."


def _when(option: str) -> object:
    return typer.Option(option, metavar="WHEN", help=_AGO)


@dataclass(frozen=True, kw_only=True)
class Filters:
    """As typed. All that is given must hold."""

    status: Annotated[list[str] | None, typer.Option(help="In this status (repeat it, or use commas).")] = None
    name: Annotated[str | None, typer.Option(help="Of this orchestration.")] = None
    version: Annotated[str | None, typer.Option(help="Of this version.")] = None
    prefix: Annotated[str | None, typer.Option(help="With an id that starts so.")] = None
    tag: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="With this tag (all of them).")] = None
    parent: Annotated[str | None, typer.Option(metavar="ID", help="Children of this instance.")] = None
    created_after: Annotated[str | None, _when("--created-after")] = None
    created_before: Annotated[str | None, _when("--created-before")] = None
    completed_after: Annotated[str | None, _when("--completed-after")] = None
    completed_before: Annotated[str | None, _when("--completed-before")] = None

    @property
    def are_given(self) -> bool:
        return any(vars(self).values())

    def query(self, *, limit: int | None = None, newest_first: bool = True) -> OrchestrationQuery:
        """InvalidArgumentError for a status, instant or tag that can't be read."""
        return OrchestrationQuery(
            statuses=parse.statuses(self.status),
            name=self.name,
            version=self.version,
            instance_id_prefix=self.prefix,
            created_after=parse.past(self.created_after),
            created_before=parse.past(self.created_before),
            completed_after=parse.past(self.completed_after),
            completed_before=parse.past(self.completed_before),
            tags=parse.tags(self.tag),
            parent_id=self.parent,
            limit=limit,
            newest_first=newest_first,
        )
