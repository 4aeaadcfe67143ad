"""Tokens that are renewed as they go: one renewal at a time, in whatever process; and what a kill in between leaves."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import keyring
import keyring.backend
import msgspec
import pytest

from connectors.core import AuthenticationFailed, ConnectionMissing, Secret, Transient
from connectors.core.token_stores import FileTokenStore, KeyringTokenStore
from connectors.core.tokens import EARLY, Tokens, TokenStore, refreshed, refreshed_async
from dtf_runtime.plugins import MissingExtraError
from tests.connectors.core.token_server import FIRST, NOW, TokenServer, renewing_at


class MemoryKeyring(keyring.backend.KeyringBackend):
    """The keyring of a machine without one."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.entries: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.entries[service, username]


def file_store(folder: Path) -> TokenStore:
    return FileTokenStore(folder / "tokens", patience=5)


def keyring_store(folder: Path) -> TokenStore:
    return KeyringTokenStore(locks=folder / "locks", patience=5)


@pytest.fixture(params=[file_store, keyring_store])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TokenStore]:
    before = keyring.get_keyring()
    keyring.set_keyring(MemoryKeyring())
    make: Callable[[Path], TokenStore] = request.param
    yield make(tmp_path)
    keyring.set_keyring(before)


@pytest.fixture
def server() -> Iterator[TokenServer]:
    with TokenServer() as running:
        yield running


def renew(store: TokenStore, server: TokenServer, **more: Any) -> str:
    return refreshed(store, "x", lambda old: renewing_at(server.url, old), lambda: NOW, **more).access.reveal()


# == Stores =======================================================================================================


def test_a_store_gives_back_what_it_was_given(store: TokenStore) -> None:
    assert store.load("x") is None
    full = msgspec.structs.replace(FIRST, scope="a b", renewing_since=NOW)
    store.save("x", full)
    store.save("another/../name", Tokens(access=Secret("only access")))
    assert store.load("x") == full
    assert store.load("another/../name") == Tokens(access=Secret("only access"))
    store.delete("x")
    store.delete("x")
    assert store.load("x") is None


def test_files_are_their_owners_alone_and_nothing_else_is_left(tmp_path: Path) -> None:
    store = FileTokenStore(tmp_path / "tokens")
    before = os.umask(0)
    try:
        store.save("x", FIRST)
        store.save("x", FIRST)
    finally:
        os.umask(before)
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700
    (file,) = store.folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_folder_or_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    store = FileTokenStore(tmp_path / "tokens")
    store.save("x", FIRST)
    (file,) = store.folder.iterdir()
    file.chmod(0o640)
    with pytest.raises(ConnectionMissing, match=f"chmod 600 {file}"):
        store.load("x")
    store.folder.chmod(0o755)
    with pytest.raises(ConnectionMissing, match=f"chmod 700 {store.folder}"):
        store.save("x", FIRST)


def test_a_write_that_fails_leaves_the_old_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileTokenStore(tmp_path / "tokens")
    store.save("x", FIRST)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        store.save("x", msgspec.structs.replace(FIRST, access=Secret("new")))
    assert store.load("x") == FIRST
    assert len(list(store.folder.iterdir())) == 1


def test_a_damaged_file_says_what_to_do(tmp_path: Path) -> None:
    store = FileTokenStore(tmp_path / "tokens")
    store.save("x", FIRST)
    (file,) = store.folder.iterdir()
    file.write_text('{"access": ')
    with pytest.raises(ConnectionMissing, match="sign in again"):
        store.load("x")


def test_tokens_show_themselves_to_nobody() -> None:
    assert "access-0" not in repr(FIRST) and "refresh-0" not in repr(FIRST)
    with pytest.raises(TypeError):
        msgspec.json.encode(FIRST)


def test_without_the_extra_the_line_that_installs_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'dtf-runtime\[keyring\]'"):
        KeyringTokenStore(locks=tmp_path).load("x")


# == Renewing =====================================================================================================


def test_what_is_fresh_is_given_as_it_is(store: TokenStore, server: TokenServer) -> None:
    store.save("x", msgspec.structs.replace(FIRST, expires_at=NOW + EARLY + timedelta(seconds=1)))
    assert renew(store, server) == "access-0"
    store.save("x", msgspec.structs.replace(FIRST, expires_at=None))
    assert renew(store, server) == "access-0"
    assert server.renewals == 0


def test_what_ends_within_a_minute_is_renewed_and_kept(store: TokenStore, server: TokenServer) -> None:
    store.save("x", msgspec.structs.replace(FIRST, expires_at=NOW + EARLY))
    assert renew(store, server) == "access-1"
    kept = store.load("x")
    assert kept is not None
    assert (kept.access, kept.refresh, kept.renewing_since) == (Secret("access-1"), Secret("refresh-1"), None)
    assert renew(store, server) == "access-1"
    assert server.renewals == 1


def test_one_that_the_service_refused_is_renewed_unless_somebody_did_so_meanwhile(
    store: TokenStore, server: TokenServer
) -> None:
    store.save("x", msgspec.structs.replace(FIRST, expires_at=None))
    assert renew(store, server, force=Secret("access-0")) == "access-1"
    assert renew(store, server, force=Secret("access-0")) == "access-1"
    assert server.renewals == 1


def test_a_service_that_gives_no_new_refresh_token_leaves_the_old_one_valid(store: TokenStore) -> None:
    store.save("x", FIRST)
    answer = Tokens(access=Secret("access-1"), expires_at=NOW + timedelta(hours=1))
    refreshed(store, "x", lambda old: answer, lambda: NOW)
    kept = store.load("x")
    assert kept is not None and kept.refresh == Secret("refresh-0")


def test_threads_that_find_it_expired_at_once_renew_it_once(store: TokenStore, server: TokenServer) -> None:
    store.save("x", FIRST)
    gate = threading.Barrier(8)
    found: list[str] = []

    def ask() -> None:
        gate.wait()
        found.append(renew(store, server))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["access-1"] * 8
    assert (server.renewals, server.is_void) == (1, False)


async def test_a_hundred_tasks_that_find_it_expired_at_once_renew_it_once(
    store: TokenStore, server: TokenServer
) -> None:
    store.save("x", FIRST)

    async def refresh(old: Tokens) -> Tokens:
        return await asyncio.to_thread(renewing_at, server.url, old)

    found = await asyncio.gather(*(refreshed_async(store, "x", refresh, lambda: NOW) for _ in range(100)))
    assert {tokens.access for tokens in found} == {Secret("access-1")}
    assert (server.renewals, server.is_void) == (1, False)


async def test_a_cancelled_task_does_not_lose_the_answer(store: TokenStore, server: TokenServer) -> None:
    store.save("x", FIRST)
    asked = asyncio.Event()

    async def refresh(old: Tokens) -> Tokens:
        asked.set()
        return await asyncio.to_thread(renewing_at, server.url, old)

    task = asyncio.create_task(refreshed_async(store, "x", refresh, lambda: NOW))
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    kept = store.load("x")
    assert kept is not None and kept.access == Secret("access-1")


def test_nobody_signed_in(store: TokenStore, server: TokenServer) -> None:
    with pytest.raises(ConnectionMissing, match="somebody must sign in first"):
        renew(store, server)
    store.save("x", msgspec.structs.replace(FIRST, refresh=None))
    with pytest.raises(AuthenticationFailed, match="can't be renewed"):
        renew(store, server)


def test_a_renewal_that_takes_others_too_long_is_tried_again_later(tmp_path: Path, server: TokenServer) -> None:
    store = FileTokenStore(tmp_path / "tokens", patience=0.05)
    store.save("x", FIRST)
    with store.lock("x"), pytest.raises(Transient) as caught:
        renew(store, server)
    assert caught.value.code == "renewal_busy"
    assert server.renewals == 0


def test_a_store_that_can_not_be_written_is_found_out_before_the_service_is_asked(
    tmp_path: Path, server: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileTokenStore(tmp_path / "tokens")
    store.save("x", FIRST)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        renew(store, server)
    assert server.renewals == 0


def test_a_plain_no_is_told_as_it_is(store: TokenStore, server: TokenServer) -> None:
    server.is_void = True
    store.save("x", FIRST)
    for _ in range(2):
        with pytest.raises(AuthenticationFailed, match="no token: 400") as caught:
            renew(store, server)
        assert caught.value.code == ""
    assert store.load("x") == FIRST


# == Processes ====================================================================================================


def processes(folder: Path, url: str, *more: str, count: int = 1) -> list["subprocess.Popen[str]"]:
    """Ready, and waiting for a line."""
    command = [sys.executable, "-m", "tests.connectors.core.token_process", str(folder), url, *more]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(count)
    ]
    for process in started:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return started


def test_processes_that_find_it_expired_at_once_renew_it_once(tmp_path: Path, server: TokenServer) -> None:
    FileTokenStore(tmp_path / "tokens").save("x", FIRST)
    started = processes(tmp_path / "tokens", server.url, count=3)
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate(timeout=30)[0] for process in started] == ["access-1\n"] * 3
    assert (server.renewals, server.is_void, len(server.received)) == (1, False, 1), "the server counts one"


@pytest.mark.parametrize("takes_old", [0, 1])
def test_a_kill_between_the_answer_and_the_write(tmp_path: Path, takes_old: int) -> None:
    """A service that forgives the token before the current one: it goes on. Another: the error says what happened."""
    store = FileTokenStore(tmp_path / "tokens")
    store.save("x", FIRST)
    with TokenServer(takes_old=takes_old) as server:
        (process,) = processes(tmp_path / "tokens", server.url, "kill")
        process.communicate("\n", timeout=30)
        assert process.returncode == -signal.SIGKILL
        assert server.renewals == 1
        left = store.load("x")
        assert left is not None and left.renewing_since == NOW and left.refresh == FIRST.refresh
        if takes_old:
            assert renew(store, server) == "access-1"
            return
        with pytest.raises(AuthenticationFailed, match=r"killed before its answer was stored.*sign in again") as caught:
            renew(store, server)
        assert caught.value.code == "renewal_lost"
