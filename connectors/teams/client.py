"""Posts to a Workflows webhook. Its address is a secret, so no error names more than its host."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from connectors.core.outgoing import Outgoing
from connectors.teams.cards import envelope
from connectors.teams.credentials import TeamsConnection
from connectors.teams.errors import error_of, hidden_failure

_ANSWER = 64 * 1024


async def post(connection: TeamsConnection, card: Mapping[str, Any], *, repeatable: bool) -> str:
    """The id of the flow's run; empty when it doesn't tell. Raises ConnectorError."""
    from connectors.core.transport import exchange

    address = connection.address()
    call = Outgoing(
        method="POST",
        url=address,
        headers={"content-type": "application/json; charset=utf-8"},
        content=envelope(card),
        timeout=connection.timeout,
        repeatable=repeatable,
        follow_redirects=False,
        shown=f"https://{urlsplit(address).hostname}/(a webhook)",
    )
    async with exchange(connection.route(), call) as answer:
        content = await answer.read(_ANSWER)
    if not 200 <= answer.status <= 299:
        raise error_of(answer.status, answer.headers, content, repeatable=repeatable)
    if failure := hidden_failure(answer.status, content):
        raise failure
    return answer.headers.get("x-ms-workflow-run-id", "")
