"""A service that gives a new refresh token with every renewal, and voids the account when an old one is used again."""

from datetime import UTC, datetime, timedelta
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, build_opener

import msgspec

from connectors.core import AuthenticationFailed, Secret
from connectors.core.loopback import Loopback, Received, Reply
from connectors.core.tokens import Tokens

NOW = datetime(2030, 1, 1, tzinfo=UTC)
FIRST = Tokens(access=Secret("access-0"), refresh=Secret("refresh-0"), expires_at=NOW)
_open = build_opener(ProxyHandler({})).open


class TokenServer(Loopback):
    """`takes_old`: how often the token before the current one is forgiven."""

    def __init__(self, *, takes_old: int = 0) -> None:
        super().__init__()
        self.renewals = 0
        self.is_void = False
        self._takes_old = takes_old

    def answer(self, got: Received) -> Reply:
        given = got.form()["refresh_token"]
        if given != f"refresh-{self.renewals}":
            if not (self._takes_old and given == f"refresh-{self.renewals - 1}"):
                self.is_void = True
            else:
                self._takes_old -= 1
                return self._tokens()
        if self.is_void:
            return Reply(status=400, body={"error": "invalid_grant"})
        self.renewals += 1
        return self._tokens()

    def _tokens(self) -> Reply:
        n = self.renewals
        return Reply(body={"access_token": f"access-{n}", "refresh_token": f"refresh-{n}", "expires_in": 3600})


def renewing_at(url: str, old: Tokens) -> Tokens:
    """What a connector's `refresh` does."""
    assert old.refresh is not None
    body = urlencode({"grant_type": "refresh_token", "refresh_token": old.refresh.reveal()}).encode()
    try:
        with _open(url, body, timeout=10) as answer:
            given = msgspec.json.decode(answer.read())
    except HTTPError as error:
        error.close()
        raise AuthenticationFailed(f"no token: {error.code}", status=error.code) from None
    return Tokens(
        access=Secret(given["access_token"]),
        refresh=Secret(given["refresh_token"]),
        expires_at=NOW + timedelta(seconds=given["expires_in"]),
    )
