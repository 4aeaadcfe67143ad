"""`python -m tests.connectors.facebook.recording [--real]`: records the cassette of test_recorded.py again, against the fake or, with the
credentials of the connection `default` in the environment, against Facebook. With --real it posts, and deletes what it posted."""

import argparse
import asyncio
from pathlib import Path

from connectors.core import Secret, resolve, using
from connectors.facebook import (
    CreateComment,
    CreateDraft,
    FacebookConnection,
    ListComments,
    PostId,
    create_comment,
    create_draft,
    delete_post,
    get_post,
    list_comments,
    publish_draft,
)
from connectors.facebook.credentials import HOST, VERSION
from connectors.facebook.testing import FakeFacebook
from tests.connectors.cassettes import cassette

CASSETTE = Path(__file__).parent / "cassettes" / "post_and_comment.json"
PAGE = "100"
"""What stands for the page's id."""


async def exercise() -> list[object]:
    """What is recorded, and played back: a post from draft to end."""
    draft = await create_draft(CreateDraft(message="Recorded: näh, 1 + 1 = 2 & more"))
    hidden = await get_post(PostId(id=draft.id))
    await publish_draft(PostId(id=draft.id))
    shown = await get_post(PostId(id=draft.id))
    comment = await create_comment(CreateComment(to=draft.id, message="Thank you"))
    listed = await list_comments(ListComments(of=draft.id))
    gone = await delete_post(PostId(id=draft.id))
    return [
        hidden.is_published,
        shown.is_published,
        shown.message,
        [told.id == comment.id for told in listed.comments],
        gone.existed,
    ]


def scrubbing(connection: FacebookConnection) -> dict[str, str]:
    secrets = (connection.page_token, connection.app_secret, connection.verify_token)
    found = {secret.reveal(): "***" for secret in secrets if secret}
    return {**found, connection.page_id: PAGE}


async def record(path: Path, connection: FacebookConnection, against: str) -> list[object]:
    path.unlink(missing_ok=True)
    with using(connection), cassette(path, host=HOST, scrub=scrubbing(connection), record=True, against=against):
        return await exercise()


async def replay(path: Path) -> tuple[list[object], bool]:
    """What came of it, and whether every interaction was played. With credentials of nobody, and Facebook's own address."""
    connection = FacebookConnection(page_id=PAGE, page_token=Secret("of-nobody"))
    with using(connection), cassette(path, host=HOST, scrub={}) as running:
        outcome = await exercise()
        return outcome, bool(running.all_played)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.connectors.facebook.recording")
    parser.add_argument("--real", action="store_true", help="against Facebook, with the credentials in the environment")
    if parser.parse_args().real:
        asyncio.run(record(CASSETTE, resolve(FacebookConnection), f"{HOST}, {VERSION}"))
        return
    with FakeFacebook() as fake:
        asyncio.run(record(CASSETTE, fake.connection(), f"the bundled fake, {VERSION}"))


if __name__ == "__main__":
    main()
