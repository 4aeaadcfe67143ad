"""The other end: people who text and call the account's numbers, and what the program's TwiML makes of it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast
from xml.etree import ElementTree

from connectors.twilio.testing.callbacks import Told, post
from connectors.twilio.testing.world import Thing, World

if TYPE_CHECKING:
    from connectors.twilio.testing.server import FakeTwilio


class Handset:
    """Mixed into FakeTwilio."""

    world: World
    account_sid: str

    def opt_out(self, number: str, sender: str) -> None:
        """As if they had answered STOP. `sender`: the number or messaging service that may not text them any more."""
        self.world.opted_out.add((number, sender))

    def texts(self, from_: str, to: str, body: str, url: str = "") -> Told | None:
        """Somebody sends the account a text; the webhook at `url` hears of it. STOP opts out, START in again. TwiML that it answers with is
        obeyed: its <Message>s are sent."""
        one = self.world.receive(from_, to, body)
        if not url:
            return None
        told = post(cast("FakeTwilio", self), url, self.form_of(one))
        self._obey(told.body, one)
        return told

    def rings(self, from_: str, to: str, url: str) -> Told:
        """Somebody calls; what the webhook answers is in `body`."""
        one = self.world.call(from_=from_, to=to, direction="inbound", status="ringing")
        form = {"CallSid": one.sid, "CallStatus": "ringing", "Direction": "inbound", **self._ends(one)}
        return post(cast("FakeTwilio", self), url, form)

    def form_of(self, one: Thing) -> dict[str, str]:
        """What Twilio posts about an incoming text."""
        sids = {"MessageSid": one.sid, "SmsSid": one.sid, "SmsMessageSid": one.sid}
        return {
            **sids,
            **self._ends(one),
            "Body": one.body,
            "NumMedia": "0",
            "NumSegments": "1",
            "SmsStatus": "received",
        }

    def _ends(self, one: Thing) -> Mapping[str, str]:
        return {"AccountSid": self.account_sid, "ApiVersion": "2010-04-01", "From": one.from_, "To": one.to}

    def _obey(self, twiml: str, to: Thing) -> None:
        if not twiml.lstrip().startswith("<"):
            return
        for reply in ElementTree.fromstring(twiml).iter("Message"):
            body = "".join(reply.itertext()).strip()
            if (to.from_, to.to) not in self.world.opted_out:
                self.world.send(to.from_, to.to, "", body, direction="outbound-reply")
