"""Importing a connector loads no SDK: a program that never calls it must not pay for it, nor need it installed."""

import subprocess
import sys
from collections.abc import Iterable

from connectors.core.testing.findings import Finding

SDKS = ("boto3", "botocore", "httpx", "httpcore", "keyring", "moto", "tenacity", "tweepy", "twilio", "uvicorn", "vcr")


def check_imports(module: str, forbidden: Iterable[str] = SDKS) -> list[Finding]:
    """In a fresh interpreter."""
    names = tuple(forbidden)
    code = f"import {module}, sys; print(*[name for name in {names!r} if name in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    if ended.returncode:
        return [Finding(module, f"it can't be imported by itself: {ended.stderr.strip().splitlines()[-1]}")]
    return [Finding(module, f"importing it loads {name}: import it where it is used") for name in ended.stdout.split()]
