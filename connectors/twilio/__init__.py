"""The Twilio connector: messages, calls, verification, look-up. `from connectors.twilio import SendMessage, send_message`.

Its webhooks are in `connectors.twilio.webhooks`, a Twilio for tests in `connectors.twilio.testing`. Importing it loads no SDK; the first call
does.
"""

from connectors.core.connections import settings, variable
from connectors.twilio import calls, lookups, messages, verification, waits
from connectors.twilio.calls import CallSid, HungUp, MadeCall, MakeCall, get_call, hang_up, make_call
from connectors.twilio.connection import TwilioConnection
from connectors.twilio.errors import DeadlinePassed, OptedOut, Undelivered, Unsettled
from connectors.twilio.events import (
    INBOUND_CALL,
    INBOUND_MESSAGE,
    CallNews,
    InboundCall,
    InboundMessage,
    MessageNews,
    call_event,
    message_event,
)
from connectors.twilio.lookups import LookupNumber, PhoneNumber, lookup_number
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
from connectors.twilio.verification import (
    CheckedVerification,
    CheckVerification,
    StartedVerification,
    StartVerification,
    check_verification,
    start_verification,
)
from connectors.twilio.waits import (
    CallEnded,
    DeliverMessage,
    Delivery,
    PlaceCall,
    WaitForCall,
    WaitForDelivery,
    deliver_message,
    place_call,
    wait_for_call,
    wait_for_delivery,
)
from dtf_runtime import ConnectorInfo

__all__ = [
    "CONNECTOR",
    "INBOUND_CALL",
    "INBOUND_MESSAGE",
    "Call",
    "CallEnded",
    "CallNews",
    "CallSid",
    "CheckVerification",
    "CheckedVerification",
    "DeadlinePassed",
    "DeliverMessage",
    "Delivery",
    "FindMessages",
    "HungUp",
    "InboundCall",
    "InboundMessage",
    "ListMessages",
    "LookupNumber",
    "MadeCall",
    "MakeCall",
    "Message",
    "MessageChanged",
    "MessageNews",
    "MessageSid",
    "Messages",
    "OptedOut",
    "PhoneNumber",
    "PlaceCall",
    "SendMessage",
    "SentMessage",
    "StartVerification",
    "StartedVerification",
    "TwilioConnection",
    "Undelivered",
    "Unsettled",
    "WaitForCall",
    "WaitForDelivery",
    "call_event",
    "cancel_message",
    "check_verification",
    "deliver_message",
    "find_messages",
    "get_call",
    "get_message",
    "hang_up",
    "list_messages",
    "lookup_number",
    "make_call",
    "message_event",
    "place_call",
    "redact_message",
    "send_message",
    "start_verification",
    "wait_for_call",
    "wait_for_delivery",
]

CONNECTOR = ConnectorInfo(
    name="twilio",
    version="1",
    activities=(*messages.ACTIVITIES, *calls.ACTIVITIES, *verification.ACTIVITIES, *lookups.ACTIVITIES),
    orchestrations=waits.ORCHESTRATIONS,
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
