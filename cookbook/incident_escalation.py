"""Incident escalation: whoever is on call is texted, then called, then the next one is, until somebody answers OK; the others hear who has it.

Shows   a ready sub-orchestration, texts back as its events through a signed webhook, opt-outs that are passed over, texts effectively once
Needs   pip install 'dtf-runtime[testing]'; for real 'dtf-runtime[http,twilio]'
Run     python incident_escalation.py               no credentials: a Twilio on this machine, and people with phones
        kill it (Ctrl-C, kill -9), and run it again with the same --id: it goes on where it stood
Real    export TWILIO_ACCOUNT_SID=... TWILIO_AUTH_TOKEN=... DTF_CONNECTION_TWILIO_DEFAULT_SENDER=+1...
        the number's "a message comes in" is https://xyz.ngrok.app/twilio/sms
        python incident_escalation.py --public https://xyz.ngrok.app --port 8768 --wait 300 ann:+1555... ben:+1555...
Watch   dtf show incident-3~oncall --hub sqlite:///incident_escalation.db
        dtf raise incident-3~oncall acknowledge '{"by": "me"}' --hub sqlite:///incident_escalation.db      instead of a text
"""

import argparse
import asyncio
import logging
import os
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from connectors.core import resolve
from connectors.core.webhooks import WebhookApp, running
from connectors.twilio import OptedOut, SendMessage, TwilioConnection, send_message
from connectors.twilio.testing import SENDER, FakeTwilio
from connectors.twilio.webhooks import inbound_messages
from dtf_runtime import (
    OrchestrationAlreadyExistsError,
    OrchestrationContext,
    TaskFailedError,
    TaskHubClient,
    TaskHubWorker,
    connect,
    orchestration,
)
from suborchestrations.people import Contact, EscalationSpec, notify_with_escalation

# == The workflow =================================================================================================


@dataclass(frozen=True)
class Incident:
    what: str
    on_call: list[Contact]  # in this order
    wait: float  # seconds that each text and each call gets


@orchestration
async def incident(ctx: OrchestrationContext, one: Incident) -> str:
    """Who has it; empty: nobody answered."""
    spec = EscalationSpec(
        message=one.what, contacts=one.on_call, wait_after_text=one.wait, wait_after_call=one.wait, rounds=2
    )
    outcome = await notify_with_escalation.options(instance_id=hears(ctx.instance_id))(spec)
    told = {each.name for each in outcome.told}
    who = outcome.by or "Nobody"
    calls = [relieve(each, who) for each in one.on_call if each.name in told and each.name != outcome.by]
    await asyncio.gather(*calls)
    return outcome.by


async def relieve(contact: Contact, who: str) -> None:
    try:
        await send_message(SendMessage(to=contact.number, body=f"{who} has it."))
    except TaskFailedError as error:
        if not error.failure.is_caused_by(OptedOut):
            raise


def hears(name: str) -> str:
    """The instance that texts are for: the child that waits for them."""
    return f"{name}~oncall"


# == The program ==================================================================================================

HUB = "sqlite:///incident_escalation.db"
PEOPLE = ("ann:+15551230001", "ben:+15551230002", "cleo:+15551230003")
WHAT = "The shop is down."


async def main(options: argparse.Namespace, connection: TwilioConnection, fake: FakeTwilio | None) -> int:
    people = [Contact(name=name, number=number) for name, number in (one.split(":") for one in options.person)]
    one = Incident(options.what, people, options.wait or (1.0 if fake else 300.0))
    service = connect(options.hub)
    webhook = inbound_messages(connection, route=lambda text: hears(options.id))
    app = WebhookApp(service, [webhook], base_url=options.public, inbox=options.inbox)
    async with (
        TaskHubClient(service) as client,
        running(app, port=options.port) as here,
        TaskHubWorker(service, connections=[connection]),
    ):
        print(f"Texts for {options.public}/twilio/sms are awaited at {here}", flush=True)
        playing = None
        if fake is not None:
            fake.public[options.public] = here
            fake.opt_out(people[0].number, SENDER)
            playing = asyncio.create_task(answer(fake, people[2], f"{options.public}/twilio/sms"))
        try:
            handle = await client.start(incident, one, instance_id=options.id)
            is_new = True
        except OrchestrationAlreadyExistsError:  # started earlier: the worker has already taken it up
            handle = client.handle(options.id, str)
            is_new = False
        by = await handle.result()
        if playing is not None:
            playing.cancel()
            await asyncio.wait([playing])
    print(f"{options.id}: {by or 'nobody'} has it")
    if fake is not None:
        check(fake, people, is_new)
    return 0 if by else 1


# == People with phones, and what Twilio has in the end ===========================================================


async def answer(fake: FakeTwilio, who: Contact, url: str) -> None:
    """The first one has opted out, the second one sleeps; this is the third one."""
    await fake.until(lambda: any(one.to == who.number for one in fake.messages), timeout=600)
    told = await asyncio.to_thread(fake.texts, who.number, SENDER, "OK", url)
    assert told is not None
    assert told.status == 200, f"the webhook answered {told.status}"


def check(fake: FakeTwilio, people: list[Contact], is_new: bool) -> None:
    """What the fake has: nothing for who opted out, a text and a call for who slept, and then the news. One that was begun earlier may have told
    some of them by a fake that is no more."""
    _, sleeps, answers = people
    alert = f"{WHAT} Answer OK to take it."
    expected = [(sleeps.number, alert), (answers.number, alert), (sleeps.number, f"{answers.name} has it.")]
    texts, calls = [(one.to, one.body) for one in fake.messages], [one.to for one in fake.calls]
    if is_new:
        assert (texts, calls) == (expected, [sleeps.number])
    assert len(set(texts)) == len(texts) and set(texts) <= set(expected)
    assert calls in ([], [sleeps.number])
    print("Each was told once, and who opted out was not.")


def command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Tell those on call, one after another, until somebody has it.")
    parser.add_argument("person", nargs="*", default=list(PEOPLE), metavar="NAME:NUMBER", help="in this order")
    parser.add_argument("--id", default="incident-3", metavar="INSTANCE", help="default: %(default)s")
    parser.add_argument("--what", default=WHAT, help="default: %(default)s")
    parser.add_argument("--wait", type=float, metavar="SECONDS", help="for an answer to each text and call")
    parser.add_argument("--public", default="https://oncall.example.com", metavar="URL", help="what Twilio calls")
    parser.add_argument("--port", type=int, default=0, help="where the proxy finds this program; default: any")
    parser.add_argument("--offline", action="store_true", help="against a Twilio on this machine; sends nothing")
    parser.add_argument("--hub", default=HUB, metavar="URL", help="default: %(default)s")
    parser.add_argument("--inbox", default="incident_escalation.inbox.db", metavar="FILE", help="default: %(default)s")
    return parser.parse_args()


def program() -> Any:
    logging.basicConfig(level=logging.ERROR)
    options = command_line()
    names = ("TWILIO_ACCOUNT_SID", "DTF_CONNECTION_TWILIO_DEFAULT_ACCOUNT_SID")
    with ExitStack() as stack:
        if not options.offline and any(os.environ.get(name) for name in names):
            return asyncio.run(main(options, resolve(TwilioConnection), None))
        fake = stack.enter_context(FakeTwilio())
        return asyncio.run(main(options, fake.connection(), fake))


if __name__ == "__main__":
    sys.exit(program())
