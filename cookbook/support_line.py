"""Support line: a text to your number opens a case, an orchestration; what follows in the conversation are its events.

Shows   signed webhooks, one orchestration a customer, replies as typed events, texts effectively once, silence as a timeout
Needs   pip install 'dtf-runtime[testing]'; for real 'dtf-runtime[http,twilio]'
Run     python support_line.py                      no credentials: a Twilio on this machine, and a customer who texts
        python support_line.py --public https://xyz.ngrok.app --port 8080       for real: TWILIO_ACCOUNT_SID,
                                                    TWILIO_AUTH_TOKEN; the number's "a message comes in" is
                                                    https://xyz.ngrok.app/twilio/sms
Watch   dtf list --hub sqlite:///support_line.db
"""

import argparse
import asyncio
import logging
import os
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

from connectors.core import resolve
from connectors.core.webhooks import WebhookApp, server_of
from connectors.twilio import (
    INBOUND_MESSAGE,
    InboundMessage,
    OptedOut,
    SendMessage,
    TwilioConnection,
    send_message,
)
from connectors.twilio.testing import SENDER, FakeTwilio
from connectors.twilio.webhooks import inbound_messages
from dtf_runtime import (
    OrchestrationAlreadyExistsError,
    OrchestrationContext,
    OrchestrationStatus,
    TaskFailedError,
    TaskHubClient,
    TaskHubWorker,
    connect,
    orchestration,
)

# == The workflow =================================================================================================

PATIENCE = 24 * 3600.0  # seconds of silence that close a case


@dataclass(frozen=True)
class Line:
    customer: str
    ours: str


@orchestration
async def support_case(ctx: OrchestrationContext, line: Line) -> list[str]:
    """What the customer wrote. It ends when the customer says bye, opts out, or says nothing for a day."""
    said: list[str] = []
    try:
        while True:
            async with asyncio.timeout(PATIENCE):
                text = await ctx.wait_for_event(INBOUND_MESSAGE, InboundMessage)
            if text.opt_out == "STOP":
                break
            said.append(text.body)
            ctx.set_custom_status(f"{len(said)} texts; the last: {text.body}")
            answer = reply_to(text.body, len(said))
            await send_message(SendMessage(to=line.customer, from_=line.ours, body=answer))
            if text.body.strip().lower() == "bye":
                break
    except TimeoutError:
        pass
    except TaskFailedError as error:
        if not error.failure.is_caused_by(OptedOut):
            raise
    return said


def reply_to(text: str, count: int) -> str:
    """Where a person, or a model, would come in: an activity then, since it must not be asked again on replay."""
    if count == 1:
        return "Thank you, your case is open. Which order is it about?"
    if text.strip().lower() == "bye":
        return "Your case is closed. Bye!"
    return f"Noted: {text}. Anything else? Say bye to close the case."


# == The program ==================================================================================================

HUB = "sqlite:///support_line.db"
OVER = tuple(status for status in OrchestrationStatus if status not in ("pending", "running", "suspended"))


def instance_of(customer: str) -> str:
    return f"case-{customer.removeprefix('+')}"


async def main(options: argparse.Namespace, connection: TwilioConnection, fake: FakeTwilio | None) -> int:
    service = connect(options.hub)
    async with TaskHubWorker(service, connections=[connection]), TaskHubClient(service) as client:

        async def route(text: InboundMessage) -> str:
            """The customer's open case; a new one when there is none."""
            case = instance_of(text.from_)
            with suppress(OrchestrationAlreadyExistsError):  # it is open: this text goes on with it
                await client.start(support_case, Line(text.from_, text.to), instance_id=case, reuse=OVER)
            return case

        webhook = inbound_messages(connection, route=route)
        server = server_of(
            WebhookApp(client, [webhook], base_url=options.public, inbox=options.inbox), port=options.port
        )
        serving = asyncio.create_task(server.serve())
        port = await port_of(server, serving)
        print(f"Texts for {options.public}/twilio/sms are awaited at http://127.0.0.1:{port}", flush=True)
        if fake is not None:
            fake.public[options.public] = f"http://127.0.0.1:{port}"
            await play(client, fake, f"{options.public}/twilio/sms")
            server.should_exit = True
        await serving
    return 0


async def port_of(server: Any, serving: "asyncio.Task[None]") -> int:
    """Once it listens."""
    while True:
        if server.started:
            return int(server.servers[0].sockets[0].getsockname()[1])
        if serving.done():
            serving.result()
            raise SystemExit("The web server did not start.")
        await asyncio.sleep(0.01)


# == A customer, and what Twilio has in the end ===================================================================

CUSTOMER = "+15551230001"
CONVERSATION = ("My order is late!", "Number 42", "bye")


async def play(client: TaskHubClient, fake: FakeTwilio, url: str) -> None:
    for number, text in enumerate(CONVERSATION, 1):
        print(f"customer: {text}")
        told = await asyncio.to_thread(fake.texts, CUSTOMER, SENDER, text, url)
        assert told is not None
        assert told.status == 200, f"the webhook answered {told.status}"
        await fake.until(lambda count=number: len(fake.messages) >= count)  # type: ignore[misc]
        print(f"we:       {fake.messages[-1].body}")
    said = await client.handle(instance_of(CUSTOMER), list[str]).result()
    assert said == list(CONVERSATION)
    assert [one.body for one in fake.messages] == [reply_to(text, n) for n, text in enumerate(CONVERSATION, 1)]
    assert {one.to for one in fake.messages} == {CUSTOMER}
    print("Each text was answered once.")


def command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A support line by text.")
    parser.add_argument("--public", default="https://support.example.com", metavar="URL", help="what Twilio calls")
    parser.add_argument("--port", type=int, default=0, help="where the proxy finds this program; default: any")
    parser.add_argument("--offline", action="store_true", help="against a Twilio on this machine; sends nothing")
    parser.add_argument("--hub", default=HUB, metavar="URL", help="default: %(default)s")
    parser.add_argument("--inbox", default="support_line_webhooks.db", metavar="FILE", help="default: %(default)s")
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
