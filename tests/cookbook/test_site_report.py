"""The site report, copied out of the project: what it does with good and bad pages, approval, silence and kill -9."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from cookbook.site_report import SITE, Page, is_running, write_report
from dtf_runtime import TaskHubClient
from tests.connectors.http.rude_server import RudeServer, answer
from tests.cookbook.conftest import Kitchen


@pytest.fixture
def server() -> Iterator[RudeServer]:
    with RudeServer() as running:
        yield running


def hub(kitchen: Kitchen) -> str:
    return f"sqlite:///{kitchen.folder / 'site_report.db'}"


async def wait_for_question(kitchen: Kitchen, instance_id: str) -> None:
    """Until the recipe waits for its approval."""
    async with TaskHubClient(hub(kitchen)) as client, asyncio.timeout(30):
        while True:
            state = await client.get_state(instance_id)
            if state is not None and is_running(state, "approve"):
                return
            await asyncio.sleep(0.05)


def test_copied_alone_it_reports_on_a_website_of_its_own_and_leaves_the_machine_alone(kitchen: Kitchen) -> None:
    code, printed = kitchen.run("site_report", "--yes")
    assert code == 0, printed
    report = (kitchen.folder / "site-report.md").read_text()
    assert report.startswith(f"# Site report: {len(SITE) - 1} of {len(SITE)} pages are fine")
    assert all(f"{page}: " in report for page in SITE)
    assert not kitchen.refused


def test_a_flaky_page_is_tried_again_and_a_missing_one_is_not(kitchen: Kitchen, server: RudeServer) -> None:
    flaky = server.on(
        "/flaky", answer(503, b"", "Retry-After: 0"), answer(503, b"", "Retry-After: 0"), answer(200, b"hi")
    )
    missing = server.on("/missing", answer(404))
    code, printed = kitchen.run("site_report", "--yes", flaky, missing)
    assert code == 0, printed
    report = (kitchen.folder / "site-report.md").read_text()
    assert f"- ok   {flaky}: 200, 2 bytes" in report
    assert f"- BAD  {missing}: the server answered 404 Not Found\n" in report
    assert sorted(got.target for got in server.received) == ["/flaky"] * 3 + ["/missing"]
    assert len({got.headers["idempotency-key"] for got in server.received if got.target == "/flaky"}) == 1
    assert len({got.headers["idempotency-key"] for got in server.received}) == 2


def test_when_nobody_approves_in_time_no_report_is_written(kitchen: Kitchen, server: RudeServer) -> None:
    code, printed = kitchen.run("site_report", "--patience", "0.3", server.on("/", answer(200)))
    assert code == 1
    assert "no report was written" in printed
    assert not list(kitchen.folder.glob("*.md*"))


async def test_another_process_may_approve(kitchen: Kitchen, server: RudeServer) -> None:
    with kitchen.start("site_report", "--id", "monday", server.on("/", answer(200))) as recipe:
        try:
            await wait_for_question(kitchen, "monday")
            async with TaskHubClient(hub(kitchen)) as client:
                await client.raise_event("monday", "approve")
            assert await asyncio.to_thread(recipe.wait, 30) == 0
        finally:
            recipe.kill()
    assert (kitchen.folder / "site-report.md").exists()


async def test_after_kill_minus_9_the_same_line_goes_on_without_a_second_visit(
    kitchen: Kitchen, server: RudeServer
) -> None:
    line = ("--id", "monday", server.on("/a", answer(200)), server.on("/b", answer(200)))
    with kitchen.start("site_report", *line) as recipe:
        try:
            await wait_for_question(kitchen, "monday")
        finally:
            recipe.kill()
    code, printed = await asyncio.to_thread(kitchen.run, "site_report", *line, "--yes")
    assert code == 0, printed
    assert sorted(got.target for got in server.received) == ["/a", "/b"]
    assert (kitchen.folder / "site-report.md").exists()


async def test_a_report_replaces_an_older_one_whole_so_that_a_reader_never_sees_half_of_it(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    path.write_text("older and longer\n" * 1000)
    expected = "# Site report: 1 of 2 pages are fine\n\n- ok   http://a/: 200\n- BAD  http://b/: 404\n"
    with path.open() as reader:
        for _delivery in range(2):
            await write_report(str(path), [Page("http://a/", True, "200"), Page("http://b/", False, "404")])
            assert path.read_text() == expected
        assert reader.read() == "older and longer\n" * 1000
    assert list(tmp_path.iterdir()) == [path]


def test_the_copied_recipe_says_where_the_demo_is(kitchen: Kitchen) -> None:
    code, printed = kitchen.run("site_report", "--demo")
    assert code == 2
    assert "make demo" in printed
