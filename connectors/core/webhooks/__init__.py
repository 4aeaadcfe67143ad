"""What comes in from outside: webhooks of services, and links that people or machines answer. One ASGI app for all of them.

    app = WebhookApp("sqlite:///orders.db", [shop_webhook], links=Links.of(resolve(WebhookConnection)))
    asyncio.run(serve(app, port=8080))

Importing it loads no web server.
"""

from connectors.core.webhooks.app import WebhookApp
from connectors.core.webhooks.connection import WebhookConnection
from connectors.core.webhooks.links import LINK_PATH, Link, LinkRefused, Links, Received
from connectors.core.webhooks.models import Incoming, RaiseEvent, Reply, Webhook, WebhookRefused
from connectors.core.webhooks.serving import running, serve, server_of
from connectors.core.webhooks.verifiers import signed_body

__all__ = [
    "LINK_PATH",
    "Incoming",
    "Link",
    "LinkRefused",
    "Links",
    "RaiseEvent",
    "Received",
    "Reply",
    "Webhook",
    "WebhookApp",
    "WebhookConnection",
    "WebhookRefused",
    "running",
    "serve",
    "server_of",
    "signed_body",
]

for _error in (LinkRefused, WebhookRefused):
    _error.__module__ = "connectors.core.webhooks"
