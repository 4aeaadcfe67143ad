"""Runs recipes the way a reader does: a copied file, in a folder of its own, with only the packages installed."""

import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from connectors.aws.testing import AwsServer
from connectors.core import using

ROOT = Path(__file__).resolve().parents[2]

# Loaded by every Python process of a recipe, its children included. What it refuses it also notes, in case the refusal
# is swallowed.
GUARD = """
import ipaddress, os, socket, sys

def guard(event, arguments):
    if event == "import" and arguments[0].partition(".")[0] == os.environ.get("FORBIDDEN_IMPORT"):
        refuse(f"import {arguments[0]}")
    if event in ("socket.connect", "socket.bind", "socket.sendto"):
        sock, address = arguments[:2]
        if sock.family in (socket.AF_INET, socket.AF_INET6) and not is_loopback(address[0]):
            refuse(f"{event} {address}")
    if event == "socket.getaddrinfo" and arguments[0] not in (None, "localhost") and not is_loopback(arguments[0]):
        refuse(f"{event} {arguments[0]}")

def is_loopback(host):
    try:
        return ipaddress.ip_address(host if isinstance(host, str) else host.decode()).is_loopback
    except ValueError:
        return False

def refuse(what):
    with open(os.environ["REFUSED"], "a") as file:
        file.write(what + "\\n")
    raise RuntimeError(f"refused: {what}")

sys.addaudithook(guard)
"""


@dataclass(frozen=True)
class Kitchen:
    """A folder to run recipes in."""

    folder: Path
    environment: Mapping[str, str]

    def copy(self, recipe: str) -> Path:
        return Path(shutil.copy(ROOT / "cookbook" / f"{recipe}.py", self.folder))

    def start(self, recipe: str, *arguments: str) -> "subprocess.Popen[str]":
        """The copied recipe, in the background; what it prints goes to `output`."""
        with self.output.open("w") as output:
            return subprocess.Popen(
                [sys.executable, str(self.copy(recipe)), *arguments],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def run(self, recipe: str, *arguments: str) -> tuple[int, str]:
        """Exit code and everything printed."""
        process = self.start(recipe, *arguments)
        try:
            code = process.wait(60)
        finally:
            process.kill()
            process.wait()
        return code, self.output.read_text()

    @property
    def output(self) -> Path:
        return self.folder / "output.txt"

    @property
    def refused(self) -> str:
        """What a process of a recipe tried and may not: another address than loopback, an import of the checkout."""
        notes = Path(self.environment["REFUSED"])
        return notes.read_text() if notes.exists() else ""


@pytest.fixture
def kitchen(tmp_path: Path) -> Kitchen:
    library, folder = tmp_path / "library", tmp_path / "kitchen"
    library.mkdir()
    folder.mkdir()
    (library / "sitecustomize.py").write_text(GUARD)
    for package in ("dtf_runtime", "connectors", "suborchestrations"):
        (library / package).symlink_to(ROOT / package)
    environment = {
        **os.environ,
        "PYTHONPATH": str(library),
        "REFUSED": str(tmp_path / "refused.txt"),
        "FORBIDDEN_IMPORT": "cookbook",
        "COLUMNS": "200",
    }
    return Kitchen(folder, environment)


@pytest.fixture(scope="session")
def aws_process() -> Iterator[AwsServer]:
    with AwsServer() as running:
        yield running


@pytest.fixture
def aws(aws_process: AwsServer) -> Iterator[AwsServer]:
    aws_process.reset()
    with using(aws_process.connection()):
        yield aws_process
    aws_process.clear_faults()


@pytest.fixture
def kitchen_with_aws(kitchen: Kitchen, aws: AwsServer) -> Kitchen:
    """Where the credentials that a program finds are those of the server."""
    connection = aws.connection()
    assert connection.access_key_id and connection.secret_access_key
    found = {
        "DTF_CONNECTION_AWS_DEFAULT_ENDPOINT_URL": aws.endpoint_url,
        "DTF_CONNECTION_AWS_DEFAULT_REGION": str(connection.region),
        "DTF_CONNECTION_AWS_DEFAULT_ACCESS_KEY_ID": connection.access_key_id.reveal(),
        "DTF_CONNECTION_AWS_DEFAULT_SECRET_ACCESS_KEY": connection.secret_access_key.reveal(),
    }
    return dataclasses.replace(kitchen, environment={**kitchen.environment, **found})
