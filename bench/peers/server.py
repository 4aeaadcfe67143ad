"""The server process of a peer that has one: it outlives the worker, so its ports and pid lie beside the state."""

# mypy: ignore-errors

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    def __init__(self, workdir: Path, *ports: str) -> None:
        self.file, self.log = workdir / "server.json", workdir / "server.log"
        self.port_names = ports
        self.process: subprocess.Popen | None = None

    def ports(self) -> dict[str, int]:
        """The same ones for every start on one state directory."""
        if not self.file.exists():
            self.file.write_text(json.dumps({"ports": {name: free_port() for name in self.port_names}}))
        return json.loads(self.file.read_text())["ports"]

    def spawn(self, argv: list[str], environment: dict[str, str] | None = None) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                argv,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        self.file.write_text(json.dumps({"ports": self.ports(), "pid": self.process.pid}))

    def pids(self) -> list[int]:
        """Its pid while it runs."""
        pid = json.loads(self.file.read_text()).get("pid") if self.file.exists() else None
        return [pid] if pid is not None and self._alive(pid) else []

    def stop(self, seconds: float = 5.0) -> None:
        """SIGTERM, then SIGKILL."""
        for pid in self.pids():
            os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + seconds
            while self._alive(pid) and time.monotonic() < deadline:
                time.sleep(0.05)
        self.kill()

    def kill(self) -> list[int]:
        pids = self.pids()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        return pids

    def said(self) -> str:
        """The end of its log, for an error message."""
        return self.log.read_text(errors="replace")[-2000:] if self.log.exists() else ""

    def _alive(self, pid: int) -> bool:
        if self.process is not None and self.process.pid == pid:
            return self.process.poll() is None
        try:
            os.kill(pid, 0)
            return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
        except OSError:
            return False
