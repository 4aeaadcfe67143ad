"""From a URL to the service that a client or a worker talks to. Nothing is opened here."""

import inspect
import re
from typing import Any

from dtf_runtime.errors import InvalidArgumentError
from dtf_runtime.plugins import PluginError, provider_for
from dtf_runtime.service import OrchestrationService

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*\Z")


def connect(url: str, **options: Any) -> OrchestrationService:
    """The service of a task hub: `sqlite:///orders.db`, `memory://`, `servicebus://...`. Options are the provider's own.

    Nothing is opened yet: the first client or worker that is entered opens it and creates a missing hub, the last one that is left
    closes it. One service serves any number of them, one after another too.
    Raises InvalidArgumentError for what is no URL, an unknown scheme or an unknown option; MissingExtraError with the line to run.
    """
    if not isinstance(url, str):
        raise InvalidArgumentError(
            f"connect takes a URL such as 'sqlite:///orders.db', not {url!r} ({type(url).__name__})"
        )
    scheme, separator, place = url.partition("://")
    scheme = scheme.lower()
    if not separator or not _SCHEME.match(scheme):  # the rest of a URL may hold a secret: never shown
        raise InvalidArgumentError(
            f"a service is named by a URL, and this one ({len(url)} characters) does not begin with a scheme and '://'; "
            "write 'sqlite:///orders.db' for a file in the current folder, 'sqlite:////var/orders.db' for another, or 'memory://'"
        )
    provider, url = provider_for(scheme), f"{scheme}://{place}"
    try:
        inspect.signature(provider).bind(url, **options)
    except TypeError as error:
        raise InvalidArgumentError(f"connect({scheme}://...) can't take these options: {error}") from None
    service = provider(url, **options)
    if not isinstance(service, OrchestrationService):
        raise PluginError(
            f"the provider of {scheme}:// gave {type(service).__qualname__}, which is no OrchestrationService"
        )
    return service


def as_service(service: OrchestrationService | str) -> OrchestrationService:
    """A service, or the URL of one. Anything else: InvalidArgumentError."""
    if isinstance(service, str):
        return connect(service)
    if isinstance(service, type) or not isinstance(service, OrchestrationService):
        raise InvalidArgumentError(
            f"service must be what connect(url) gives, or a URL, not {service!r} ({type(service).__name__})"
        )
    return service
