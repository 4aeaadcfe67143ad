"""`AwsServer`: AWS on this machine, in a process of its own, with the behaviours that moto leaves out.

Nothing leaves 127.0.0.1. Any process may steer it: `AwsServer.at(url)`.
"""

import asyncio
import json
import os
import subprocess
import sys
from fnmatch import fnmatchcase
from http.client import HTTPConnection
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast
from urllib.parse import urlsplit

import msgspec

from connectors.aws.connection import AwsConnection
from connectors.aws.testing.calls import Call
from connectors.aws.testing.steering import PREFIX, Clock, Steering
from connectors.core import Secret
from dtf_runtime.plugins import require

_ROOT = Path(__file__).resolve().parents[3]
REGION = "eu-central-1"


class AwsServer(Steering):
    """A context manager, `with` or `async with`. `plain`: moto alone, for comparison. Raises MissingExtraError when entered without moto.

    `calls` is every request it saw, `count(name)` what it executed with success, `reset()` an empty account, `clock` its time. Faults and limits
    are ordered by the methods of `Steering`.
    """

    def __init__(self, *, plain: bool = False, endpoint_url: str = "") -> None:
        self._plain = plain
        self._process: subprocess.Popen[str] | None = None
        self.endpoint_url = endpoint_url
        self.clock = Clock(self)

    @classmethod
    def at(cls, endpoint_url: str) -> Self:
        """One that runs already, in another process."""
        return cls(endpoint_url=endpoint_url)

    def __enter__(self) -> Self:
        if find_spec("moto") is None:
            require("moto", "testing")  # says what to install
        command = [sys.executable, "-m", "connectors.aws.testing", *(["--plain"] if self._plain else [])]
        paths = [str(_ROOT), os.environ.get("PYTHONPATH", "")]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.endpoint_url = cast(IO[str], self._process.stdout).readline().strip()
        if not self.endpoint_url:
            status = self._process.poll()
            self.__exit__(None, None, None)
            raise RuntimeError(f"the AWS server did not start (status {status}); its standard error says why")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            for stream in (self._process.stdin, self._process.stdout):
                cast(IO[str], stream).close()
            self._process.wait()
            self._process = None

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.__exit__, kind, error, traceback)

    def connection(self, name: str = "default", **changes: Any) -> AwsConnection:
        """A connection to here, for `using(...)` or a worker."""
        fields: dict[str, Any] = {
            "region": REGION,
            "endpoint_url": self.endpoint_url,
            "access_key_id": Secret("AKIAIOSFODNN7EXAMPLE"),
            "secret_access_key": Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        }
        return AwsConnection(name=name, **(fields | changes))

    @property
    def calls(self) -> list[Call]:
        """Since the last reset, in the order of their arrival."""
        return msgspec.convert(self.control("calls"), list[Call])

    def count(self, name: str) -> int:
        """How often this was executed with success; `RunInstances`, `ec2:RunInstances` or a pattern. Replays by token don't count."""
        calls = [call for call in self.calls if call.executed]
        return sum(fnmatchcase(call.name if ":" in name else call.operation, name) for call in calls)

    def mark(self) -> None:
        """From here on, `changes()` are counted."""
        self.control("mark")

    def changes(self) -> dict[str, list[str]]:
        """How the account differs from when it was marked: lines `added` and `removed`, one for each value, instants left out."""
        found: dict[str, list[str]] = self.control("changes")
        return found

    def reset(self) -> None:
        """An empty account: no resources, no faults, no limits, settings and clock as at the start."""
        self.control("reset")

    def control(self, verb: str, **arguments: Any) -> Any:
        """`POST /_aws/<verb>`. Raises ValueError with what the server says is wrong."""
        where = urlsplit(self.endpoint_url)
        connection = HTTPConnection(where.hostname or "", where.port, timeout=90)
        try:
            connection.request("POST", f"{PREFIX}{verb}", json.dumps(arguments))
            answer = connection.getresponse()
            content = json.loads(answer.read() or b"null")
        finally:
            connection.close()
        if answer.status != 200:
            raise ValueError(content)
        return content
