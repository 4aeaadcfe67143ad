"""Puts the peers into bench/.peers/, on demand: an environment of their own, never the project's.

A peer that can't be had on this machine is left out, and the reason is printed; it never stops the benchmark.
"""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
PLACE = HERE / ".peers"
PYTHON = PLACE / "venv" / "bin" / "python"
NODE_PACKAGES = {"restate": "@restatedev/restate-server@1.7.12"}
INSTALL_SECONDS = 900


@dataclass(frozen=True)
class Unavailable:
    peer: str
    reason: str


def requirements(peer: str) -> list[str]:
    """The peer's lines of bench/peers/requirements.txt: those under the comment that is its name."""
    lines = (HERE / "peers" / "requirements.txt").read_text().splitlines()
    begin = lines.index(f"# {peer}") + 1
    section = lines[begin:]
    return section[: section.index("")] if "" in section else section


def install(peer: str) -> Unavailable | None:
    """Make the peer ready to run; quick when it is already. None, or why it can't be had."""
    wanted = "\n".join([sys.version, *requirements(peer), NODE_PACKAGES.get(peer, "")])
    stamp = PLACE / f"{peer}.installed"
    if stamp.exists() and stamp.read_text() == wanted:
        return None
    print(f"installing {peer} into bench/.peers ...", flush=True)
    PLACE.mkdir(exist_ok=True)
    try:
        if not PYTHON.exists():
            _run([sys.executable, "-m", "venv", str(PLACE / "venv")])
        _run([str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements(peer)])
        if peer in NODE_PACKAGES:
            _node_install(NODE_PACKAGES[peer])
    except (OSError, subprocess.SubprocessError) as error:
        return Unavailable(peer, _why(error))
    stamp.write_text(wanted)
    return None


def _node_install(package: str) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError(f"npm is needed for {package} and is not on the PATH")
    _run([npm, "install", "--silent", "--no-fund", "--no-audit", "--prefix", str(PLACE / "node"), package])


def _run(argv: list[str]) -> None:
    subprocess.run(argv, check=True, timeout=INSTALL_SECONDS, capture_output=True, text=True)


def _why(error: Exception) -> str:
    said = getattr(error, "stderr", None)
    last = said.strip().splitlines()[-1:] if isinstance(said, str) else []
    return " ".join([str(error), *last])
