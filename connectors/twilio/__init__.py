"""The Twilio connector: messages, calls, verification, look-up. `from connectors.twilio import SendMessage, send_message`.

Importing it loads no SDK; the first call does.
"""

from connectors.core.connections import settings, variable
from connectors.twilio import messages
from connectors.twilio.connection import TwilioConnection
from connectors.twilio.errors import DeadlinePassed, OptedOut, Undelivered, Unsettled
from connectors.twilio.messages import (
    FindMessages,
    ListMessages,
    MessageChanged,
    Messages,
    MessageSid,
    SendMessage,
    SentMessage,
    cancel_message,
    find_messages,
    get_message,
    list_messages,
    redact_message,
    send_message,
)
from connectors.twilio.models import Call, Message
from dtf_runtime import ConnectorInfo

__all__ = [
    "CONNECTOR",
    "Call",
    "DeadlinePassed",
    "FindMessages",
    "ListMessages",
    "Message",
    "MessageChanged",
    "MessageSid",
    "Messages",
    "OptedOut",
    "SendMessage",
    "SentMessage",
    "TwilioConnection",
    "Undelivered",
    "Unsettled",
    "cancel_message",
    "find_messages",
    "get_message",
    "list_messages",
    "redact_message",
    "send_message",
]

CONNECTOR = ConnectorInfo(
    name="twilio",
    version="1",
    activities=messages.ACTIVITIES,
    connection=TwilioConnection,
    environment={
        variable(TwilioConnection, "default", field.name): str(field.metadata["help"])
        for field in settings(TwilioConnection)
    }
    | {
        "TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN": "the account, where the connection `default` is not set otherwise",
        "TWILIO_API_KEY, TWILIO_API_SECRET": "an API key instead of the auth token",
        "TWILIO_EDGE, TWILIO_REGION": "where Twilio is reached",
    },
)
