"""A Twilio for tests, yours too: `FakeTwilio`, a stateful server on loopback that the unmodified SDK talks to."""

from connectors.twilio.testing.callbacks import Told, signature_of
from connectors.twilio.testing.faults import Cut, Fault
from connectors.twilio.testing.server import SENDER, SERVICE, FakeTwilio
from connectors.twilio.testing.world import Thing, Verification

__all__ = ["SENDER", "SERVICE", "Cut", "FakeTwilio", "Fault", "Thing", "Told", "Verification", "signature_of"]
