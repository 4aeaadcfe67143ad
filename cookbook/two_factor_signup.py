"""Two-factor sign-up: a code by SMS, three tries, ten minutes; the account exists once the phone is proved.

Shows   a verification that is started once whatever crashes, a person's answer as an external event, a timeout, tries that are counted durably
Needs   pip install 'dtf-runtime[testing]'; for real 'dtf-runtime[twilio]'
Run     python two_factor_signup.py                 no credentials: a Twilio on this machine, and somebody who mistypes once
        python two_factor_signup.py ann +15551234567     for real: TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, TWILIO_VERIFY_SERVICE
        dtf raise signup-ann code '"123456"' --hub sqlite:///two_factor_signup.db      types the code from elsewhere
"""

import argparse
import asyncio
import logging
import os
import sqlite3
import sys
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from typing import Any

from connectors.core import NotFound, resolve
from connectors.twilio import (
    CheckVerification,
    StartVerification,
    TwilioConnection,
    check_verification,
    start_verification,
)
from connectors.twilio.testing import SERVICE, FakeTwilio
from dtf_runtime import (
    OrchestrationAlreadyExistsError,
    OrchestrationContext,
    OrchestrationHandle,
    TaskFailedError,
    TaskHubClient,
    TaskHubWorker,
    activity,
    connect,
    orchestration,
)

# == The workflow =================================================================================================

TRIES = 3
PATIENCE = 600.0  # seconds: the code is good for ten minutes


@dataclass(frozen=True)
class SignUp:
    name: str
    number: str
    service: str  # the Verify service, VA...
    accounts: str  # the file of the accounts


@orchestration
async def sign_up(ctx: OrchestrationContext, who: SignUp) -> str:
    """created, wrong code or too late."""
    started = await start_verification(StartVerification(service_sid=who.service, to=who.number))
    ctx.set_custom_status("a code is on its way")
    try:
        async with asyncio.timeout(PATIENCE):  # a durable timer: it runs on while no program does
            for left in reversed(range(TRIES)):
                code = await ctx.wait_for_event("code", str)
                if await is_right(who, started.sid, code):
                    await create_account(who.accounts, who.name, who.number)
                    return "created"
                ctx.set_custom_status(f"wrong code, {left} tries left")
    except TimeoutError:
        return "too late"
    return "wrong code"


async def is_right(who: SignUp, sid: str, code: str) -> bool:
    call = CheckVerification(service_sid=who.service, verification_sid=sid, code=code)
    try:
        return (await check_verification(call)).approved
    except TaskFailedError as error:
        if error.failure.is_caused_by(NotFound):  # it has expired
            return False
        raise


@activity
def create_account(path: str, name: str, number: str) -> None:
    """May run twice when a worker dies: a name is there once."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("create table if not exists accounts (name text primary key, number text not null)")
        db.execute("insert or ignore into accounts values (?, ?)", (name, number))


# == The program ==================================================================================================

HUB = "sqlite:///two_factor_signup.db"


async def main(options: argparse.Namespace, connection: TwilioConnection, fake: FakeTwilio | None) -> int:
    who = SignUp(options.name, options.number, options.service, options.accounts)
    service = connect(options.hub)
    async with TaskHubWorker(service, connections=[connection]), TaskHubClient(service) as client:
        try:
            handle = await client.start(sign_up, who, instance_id=f"signup-{who.name}")
        except OrchestrationAlreadyExistsError:  # started earlier: the worker has already taken it up
            handle = client.handle(f"signup-{who.name}", str)
        print(f"Instance {handle.instance_id} in {options.hub}", flush=True)
        typing = asyncio.create_task(type_codes(client, handle, who, fake))
        outcome = await handle.result()
        typing.cancel()
        with suppress(asyncio.CancelledError):
            await typing
    print(f"{who.name}: {outcome}")
    if fake is not None:
        check(who, fake)
    return 0 if outcome == "created" else 1


async def type_codes(
    client: TaskHubClient, handle: OrchestrationHandle[str], who: SignUp, fake: FakeTwilio | None
) -> None:
    """Whoever sits there; on the Twilio on this machine somebody who mistypes the first time."""
    if fake is not None:
        await fake.until(lambda: bool(fake.verifications))
        right = fake.code_for(who.number)
        for code in (f"{(int(right) + 1) % 1_000_000:06}", right):
            print(f"types {'the right code' if code == right else 'a wrong one'}")
            await client.raise_event(handle.instance_id, "code", code)
        return
    if not sys.stdin.isatty():
        print(f"""Type it: dtf raise {handle.instance_id} code '"123456"'""", flush=True)
        return
    while True:
        code = await asyncio.to_thread(input, "The code: ")
        await client.raise_event(handle.instance_id, "code", code.strip())


def check(who: SignUp, fake: FakeTwilio) -> None:
    """What the fake and the accounts have: one code sent, two checks, one account."""
    (verification,) = fake.verifications
    assert verification.status == "approved"
    assert (len(verification.sends), verification.checks) == (1, 2)
    with closing(sqlite3.connect(who.accounts)) as db:
        assert db.execute("select number from accounts where name = ?", (who.name,)).fetchall() == [(who.number,)]
    print("One code was sent, and there is one account.")


def command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Sign up with a phone that is proved.")
    parser.add_argument("name", nargs="?", default="ann")
    parser.add_argument("number", nargs="?", default="+15551230001", metavar="NUMBER")
    parser.add_argument("--service", default=os.environ.get("TWILIO_VERIFY_SERVICE", SERVICE), metavar="VA...")
    parser.add_argument(
        "--accounts", type=os.path.abspath, default="accounts.db", metavar="FILE", help="default: %(default)s"
    )
    parser.add_argument("--offline", action="store_true", help="against a Twilio on this machine; sends nothing")
    parser.add_argument("--hub", default=HUB, metavar="URL", help="default: %(default)s")
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
