"""A Teams channel with its Workflows webhook on this machine, for tests and offline examples.

with FakeTeams() as teams, using(teams.connection()):
    ...
assert teams.texts() == ["Done."]
"""

from dataclasses import dataclass
from typing import Any

from connectors.core import Secret
from connectors.core.connections import variable
from connectors.core.loopback import Loopback, Received, Reply
from connectors.teams.cards import MOST_BYTES, key_of
from connectors.teams.credentials import TeamsConnection
from dtf_runtime.clock import REAL_CLOCK, Clock

_PATH = "/workflows/0123456789abcdef/triggers/manual/paths/invoke"


@dataclass
class Message:
    key: str
    text: str
    card: dict[str, Any]


class FakeTeams(Loopback):
    """`deduplicates`: the flow leaves out a card whose reference it has posted, as a careful flow does."""

    signature = "fake-signature-of-nobody-0123456789"

    def __init__(self, clock: Clock = REAL_CLOCK, *, deduplicates: bool = False) -> None:
        super().__init__(clock)
        self.deduplicates = deduplicates
        self.messages: list[Message] = []
        self.failed_runs: list[bytes] = []
        """Taken with a 202 and failed inside the flow, as plain text does."""

    @property
    def webhook_url(self) -> str:
        return f"{self.url}{_PATH}?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig={self.signature}"

    def connection(self, name: str = "default", *, timeout: float = 30.0) -> TeamsConnection:
        return TeamsConnection(name=name, webhook_url=Secret(self.webhook_url), allow_private=True, timeout=timeout)

    def environment(self, name: str = "default") -> dict[str, str]:
        """The variables that lead another process here."""
        fields = {"webhook_url": self.webhook_url, "allow_private": "true"}
        return {variable(TeamsConnection, name, field): value for field, value in fields.items()}

    def texts(self) -> list[str]:
        return [message.text for message in self.messages]

    def keys(self) -> list[str]:
        """The references of what is in the channel, each once, in order."""
        return list(dict.fromkeys(message.key for message in self.messages))

    def buttons(self) -> dict[str, str]:
        """Title and address of those of the last message."""
        actions = self.messages[-1].card.get("actions", ())
        return {action["title"]: action["url"] for action in actions}

    def answer(self, got: Received) -> Reply:
        if got.path != _PATH:
            return refusal(404, "WorkflowNotFound", "The workflow could not be found.")
        if got.query.get("sig") != self.signature:
            return refusal(401, "DirectApiAuthorizationRequired", "The request must be authenticated by a signature.")
        if len(got.body) > MOST_BYTES:
            return refusal(413, "RequestEntityTooLarge", "The request is larger than the flow takes.")
        run = Reply(status=202, headers={"x-ms-workflow-run-id": f"0858{len(self.received):012d}CU00"})
        try:
            wanted = got.json()
            card = wanted["attachments"][0]["content"]
            if wanted["type"] != "message" or card["type"] != "AdaptiveCard":
                raise ValueError
        except (ValueError, KeyError, IndexError, TypeError):
            self.failed_runs.append(got.body)
            return run
        key = key_of(card)
        if not (self.deduplicates and key and key in self.keys()):
            text = next((block["text"] for block in card["body"] if block.get("size") != "Large"), "")
            self.messages.append(Message(key, text, card))
        return run


def refusal(status: int, code: str, message: str, **headers: str) -> Reply:
    """An error as a Workflows webhook answers it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status=status, body={"error": {"code": code, "message": message}}, headers=named)
