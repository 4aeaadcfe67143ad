"""The address that Twilio calls about a message or a call: it carries the call's key and the instance that is to hear of it.

The whole address is under Twilio's signature, so what comes back in it is as good as what was sent.
"""

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from connectors.core import InvalidRequest
from dtf_runtime import OutsideActivityError, activity_context

KEY, INSTANCE = "dtf-key", "dtf-instance"


def callback(base: str, key: str, notify: str) -> str:
    """Empty when there is no base. `notify`: an instance id; empty: the one that calls. Raises InvalidRequest."""
    if not base:
        return ""
    url = urlsplit(base)
    if url.scheme not in ("http", "https") or not url.hostname or "_" in url.hostname:
        raise InvalidRequest("a status callback is an http or https address whose host has no underscore")
    about = [(KEY, key)]
    if instance := notify or _own_instance():
        about.append((INSTANCE, instance))
    query = "&".join(part for part in (url.query, urlencode(about)) if part)
    return urlunsplit(url._replace(query=query, fragment=""))


def about(url: str) -> tuple[str, str]:
    """Key and instance of a callback's address; empty when it has none."""
    pairs = dict(parse_qsl(urlsplit(url).query))
    return pairs.get(KEY, ""), pairs.get(INSTANCE, "")


def _own_instance() -> str:
    try:
        return activity_context().instance_id
    except OutsideActivityError:
        return ""
