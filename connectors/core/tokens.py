"""OAuth tokens that are renewed as they go: kept in a file or a keyring, one renewal at a time however many processes share them.

Many services give a new refresh token with every renewal and void the old one, and some void everything when an old one is used again: two workers
that renew at once lose the account. So `refreshed` renews under a lock between processes, and looks again once it has the lock.

What is left: a kill after the service has answered and before the answer is on disk. The new refresh token is lost then; nothing on this side can get
it back. So the time between is kept to one write and fsync, that the store can be written is tried out first, and the store remembers that a renewal
was under way: the next one still tries the old token (most services take it for some seconds more), and when it is refused the error says what
happened and that somebody must sign in again.

Must never be called in an event loop's thread: it waits for locks. `refreshed_async` is for there.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, suppress
from datetime import datetime, timedelta
from typing import Any, Protocol

import msgspec

from connectors.core.errors import AuthenticationFailed, ConnectionMissing, Transient
from connectors.core.secret import Secret

# Of its own: in the loop's usual one, waiters for a lock could take all threads that its holder needs to look a name up.
_threads = ThreadPoolExecutor(32, thread_name_prefix="dtf-tokens")

EARLY = timedelta(seconds=60)
"""Before its end a token is renewed."""


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """What a service gave. Shows none of it; only a store writes it down."""

    access: Secret
    refresh: Secret | None = None
    """None: it can't be renewed."""
    expires_at: datetime | None = None
    """Aware; None: not known, so it is renewed when `force` asks for it."""
    scope: str = ""
    renewing_since: datetime | None = None
    """A renewal began then and its answer was not stored (yet)."""

    def is_fresh(self, now: datetime) -> bool:
        return self.expires_at is None or now + EARLY < self.expires_at


class TokenStore(Protocol):
    """Where tokens are kept, by name. Its methods may block."""

    def load(self, name: str) -> Tokens | None: ...
    def save(self, name: str, tokens: Tokens) -> None:
        """All or nothing, and durable when it returns."""
        ...

    def delete(self, name: str) -> None:
        """One that is not there is fine."""
        ...

    def lock(self, name: str) -> AbstractContextManager[Any]:
        """One holder at a time, in all processes that share the store; freed when its process dies. Raises TimeoutError."""
        ...


def refreshed(
    store: TokenStore,
    name: str,
    refresh: Callable[[Tokens], Tokens],
    now: Callable[[], datetime],
    *,
    force: Secret | None = None,
) -> Tokens:
    """Tokens that are good for a minute at least, renewed by `refresh` when they are not.

    `refresh` gets the old ones and gives the new ones; without a new refresh token the old one is kept. `now`: `clock.now`. `force`: an access
    token that the service refused, which is renewed even if it looks fresh, unless somebody else did so meanwhile.
    Raises ConnectionMissing (nobody signed in), AuthenticationFailed, Transient (the lock was not free for long), and what `refresh` raises.
    """
    tokens = _stored(store, name)
    if _is_good(tokens, now(), force):
        return tokens
    with ExitStack() as stack:
        try:
            stack.enter_context(store.lock(name))
        except TimeoutError as error:
            raise _busy(name) from error
        tokens = _stored(store, name)  # whoever had the lock may have renewed it
        if _is_good(tokens, now(), force):
            return tokens
        begun = _begin(store, name, tokens, now())
        try:
            answer = refresh(begun)
        except AuthenticationFailed as error:
            if tokens.renewing_since is not None:
                raise _lost(name, tokens.renewing_since) from error
            store.save(name, tokens)  # a plain no: nothing is under way any more
            raise
        new = msgspec.structs.replace(answer, refresh=answer.refresh or tokens.refresh, renewing_since=None)
        store.save(name, new)
        return new


async def refreshed_async(
    store: TokenStore,
    name: str,
    refresh: Callable[[Tokens], Awaitable[Tokens]],
    now: Callable[[], datetime],
    *,
    force: Secret | None = None,
) -> Tokens:
    """As `refreshed`. The store is used in a thread; `refresh` runs in the loop. A cancel waits until an answer that came is stored."""
    loop = asyncio.get_running_loop()

    def renew(old: Tokens) -> Tokens:
        return asyncio.run_coroutine_threadsafe(_awaited(refresh, old), loop).result()

    working = loop.run_in_executor(_threads, lambda: refreshed(store, name, renew, now, force=force))
    try:
        return await asyncio.shield(working)
    finally:
        while not working.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([working])


async def _awaited(refresh: Callable[[Tokens], Awaitable[Tokens]], old: Tokens) -> Tokens:
    return await refresh(old)


def _stored(store: TokenStore, name: str) -> Tokens:
    tokens = store.load(name)
    if tokens is None:
        raise ConnectionMissing(
            f"there are no tokens {name!r} in {store!r}: somebody must sign in first", code="no_tokens"
        )
    return tokens


def _is_good(tokens: Tokens, now: datetime, force: Secret | None) -> bool:
    return tokens.is_fresh(now) and (force is None or tokens.access != force)


def _begin(store: TokenStore, name: str, tokens: Tokens, now: datetime) -> Tokens:
    """That a renewal is under way is written down before it is; a store that can't be written fails here, where nothing is lost."""
    if tokens.refresh is None:
        raise AuthenticationFailed(f"tokens {name!r} have expired and can't be renewed: somebody must sign in again")
    if tokens.renewing_since is None:
        tokens = msgspec.structs.replace(tokens, renewing_since=now)
    store.save(name, tokens)
    return tokens


def _lost(name: str, since: datetime) -> AuthenticationFailed:
    return AuthenticationFailed(
        f"tokens {name!r} can't be renewed: a renewal that began {since:%Y-%m-%d %H:%M:%S} UTC was killed before its answer was "
        f"stored, and the service takes the old refresh token no longer; somebody must sign in again",
        code="renewal_lost",
    )


def _busy(name: str) -> Transient:
    return Transient(f"tokens {name!r} are being renewed by another process for long; try again", code="renewal_busy")
