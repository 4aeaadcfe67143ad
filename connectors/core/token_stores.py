"""Where tokens are kept: a folder of files that only their owner may read, or the system's keyring."""

import os
import tempfile
from contextlib import AbstractContextManager
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from connectors.core.errors import ConnectionMissing
from connectors.core.secret import Secret
from connectors.core.tokens import Tokens
from dtf_runtime.plugins import require

_PATIENCE = 60.0  # seconds for another process's renewal


class _Written(msgspec.Struct, omit_defaults=True):
    access: str
    refresh: str | None = None
    expires_at: datetime | None = None
    scope: str = ""
    renewing_since: datetime | None = None


class FileTokenStore:
    """A file for each name, mode 0600 in a folder of mode 0700, replaced whole or not at all. The folder is made when it is missing.

    For workers of one machine. `patience`: seconds that a renewal by another process may take. Windows has no such modes: there the
    folder's own permissions count.
    """

    def __init__(self, folder: Path | str, *, patience: float = _PATIENCE) -> None:
        self.folder = Path(folder)
        self._patience = patience

    def load(self, name: str) -> Tokens | None:
        path = self._path(name)
        try:
            with path.open("rb") as file:
                mode, data = os.fstat(file.fileno()).st_mode, file.read()
        except FileNotFoundError:
            return None
        if os.name == "posix" and mode & 0o077:
            raise ConnectionMissing(f"others may read {path}, which holds tokens: chmod 600 {path}", code="file_open")
        return _decoded(data, str(path))

    def save(self, name: str, tokens: Tokens) -> None:
        self._make_folder()
        descriptor, part = tempfile.mkstemp(dir=self.folder, suffix=".part")  # mkstemp gives mode 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_encoded(tokens))
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, self._path(name))
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise
        _sync_folder(self.folder)

    def delete(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)

    def lock(self, name: str) -> AbstractContextManager[Any]:
        self._make_folder()
        return _lock(self._path(name).with_suffix(".lock"), self._patience)

    def _make_folder(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.name == "posix" and self.folder.stat().st_mode & 0o077:
            raise ConnectionMissing(
                f"others may look into {self.folder}, where tokens are kept: chmod 700 {self.folder}",
                code="folder_open",
            )

    def _path(self, name: str) -> Path:
        return self.folder / f"{_file_name(name)}.json"

    def __repr__(self) -> str:
        return f"FileTokenStore({str(self.folder)!r})"


class KeyringTokenStore:
    """The system's keyring, of the extra `keyring`: Keychain, Credential Locker, Secret Service.

    `locks` is a folder for the locks between processes. A keyring that needs a person to unlock it makes its callers wait. Windows keeps
    at most 2,560 bytes in one entry.
    """

    def __init__(
        self, service: str = "dtf-runtime", *, locks: Path | str | None = None, patience: float = _PATIENCE
    ) -> None:
        self.service = service
        self._locks = Path.home() / ".dtf" / "locks" if locks is None else Path(locks)
        self._patience = patience

    def load(self, name: str) -> Tokens | None:
        text = require("keyring", "keyring").get_password(self.service, name)
        return None if text is None else _decoded(text.encode(), f"entry {name!r} of the keyring")

    def save(self, name: str, tokens: Tokens) -> None:
        require("keyring", "keyring").set_password(self.service, name, _encoded(tokens).decode())

    def delete(self, name: str) -> None:
        keyring = require("keyring", "keyring")
        if keyring.get_password(self.service, name) is not None:
            keyring.delete_password(self.service, name)

    def lock(self, name: str) -> AbstractContextManager[Any]:
        self._locks.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _lock(self._locks / f"{_file_name(f'{self.service}/{name}')}.lock", self._patience)

    def __repr__(self) -> str:
        return f"KeyringTokenStore({self.service!r})"


def _lock(path: Path, patience: float) -> AbstractContextManager[Any]:
    """Its Timeout is a TimeoutError. A new object each time, so threads exclude each other too."""
    from filelock import FileLock

    return FileLock(path, timeout=patience, mode=0o600)


def _encoded(tokens: Tokens) -> bytes:
    return msgspec.json.encode(
        _Written(
            access=tokens.access.reveal(),
            refresh=tokens.refresh.reveal() if tokens.refresh else None,
            expires_at=tokens.expires_at,
            scope=tokens.scope,
            renewing_since=tokens.renewing_since,
        )
    )


@lru_cache(maxsize=64)  # it is asked for at every call, and hardly ever changes
def _decoded(data: bytes, where: str) -> Tokens:
    try:
        found = msgspec.json.decode(data, type=_Written)
    except msgspec.DecodeError:
        raise ConnectionMissing(f"{where} holds no tokens that can be read: somebody must sign in again") from None
    return Tokens(
        access=Secret(found.access),
        refresh=Secret(found.refresh) if found.refresh else None,
        expires_at=found.expires_at,
        scope=found.scope,
        renewing_since=found.renewing_since,
    )


def _file_name(name: str) -> str:
    """Readable, safe on every system, and different for different names."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in name)[:40]
    return f"{plain}-{blake2b(name.encode(), digest_size=6).hexdigest()}"


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
