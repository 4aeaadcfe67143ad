"""Verifiers that many services have in common: an HMAC of the body in a header."""

from base64 import b64encode
from collections.abc import Callable, Sequence
from hmac import compare_digest
from hmac import new as new_hmac
from typing import Literal

from connectors.core.secret import Secret
from connectors.core.webhooks.models import Incoming, WebhookRefused


def signed_body(
    keys: Secret | Sequence[Secret],
    *,
    header: str,
    prefix: str = "",
    algorithm: Literal["sha256", "sha1", "sha512"] = "sha256",
    encoding: Literal["hex", "base64"] = "hex",
) -> Callable[[Incoming], None]:
    """`header: prefix + HMAC(key, body)`, as GitHub (`X-Hub-Signature-256: sha256=`), Facebook and Teams (`Authorization: HMAC `, base64)
    sign. Any of several keys will do, so that one can be replaced. Compared in constant time."""
    known = [keys] if isinstance(keys, Secret) else list(keys)
    if not known or not all(known):
        raise ValueError("a verifier needs a key that is not empty: without one, anybody could sign")

    def verify(request: Incoming) -> None:
        given = request.header(header).encode("utf-8", "surrogateescape")
        right = False
        for key in known:  # all of them, so that the time says nothing about which
            digest = new_hmac(key.reveal().encode(), request.body, algorithm).digest()
            text = digest.hex() if encoding == "hex" else b64encode(digest).decode()
            right |= compare_digest(f"{prefix}{text}".encode(), given)
        if not right:
            raise WebhookRefused("the signature of the body is not right")

    return verify
