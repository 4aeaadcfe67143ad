"""Renews once: `python -m tests.connectors.core.token_process FOLDER URL [kill]`. Waits for a line, then prints the access token. `kill`: dies
between the service's answer and the write."""

import os
import signal
import sys

from connectors.core.token_stores import FileTokenStore
from connectors.core.tokens import Tokens, refreshed
from tests.connectors.core.token_server import NOW, renewing_at

folder, url, *more = sys.argv[1:]


def refresh(old: Tokens) -> Tokens:
    new = renewing_at(url, old)
    if more:
        os.kill(os.getpid(), signal.SIGKILL)
    return new


print("ready", flush=True)
sys.stdin.readline()
print(refreshed(FileTokenStore(folder), "x", refresh, lambda: NOW).access.reveal())
