"""The Teams connector: messages and Adaptive Cards through a Workflows webhook, buttons that answer, commands by @mention.

Its errors are those of `connectors.core`. Importing it loads no HTTP library; the first call does.
"""

from connectors.core.connections import settings, variable
from connectors.teams.activities import send_card, send_message
from connectors.teams.credentials import TeamsConnection
from connectors.teams.models import Answer, Button, Command, Link, SendCard, SendMessage, Sent
from dtf_runtime import ConnectorInfo

__all__ = [
    "CONNECTOR",
    "Answer",
    "Button",
    "Command",
    "Link",
    "SendCard",
    "SendMessage",
    "Sent",
    "TeamsConnection",
    "send_card",
    "send_message",
]

CONNECTOR = ConnectorInfo(
    name="teams",
    version="1",
    activities=(send_message, send_card),
    connection=TeamsConnection,
    environment={
        variable(TeamsConnection, "default", field.name): str(field.metadata["help"])
        for field in settings(TeamsConnection)
    },
)
