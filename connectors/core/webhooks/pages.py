"""The few pages that a person sees who opens a link. No script, nothing from elsewhere, every text escaped.

Opening a link raises nothing: mail scanners and chat previews open links too. Its button does.
"""

from html import escape

from connectors.core.webhooks.models import Reply

_CSP = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex"><title>{title}</title>
<style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:15vh auto;padding:0 1rem}}
button{{font:inherit;padding:.5rem 1.5rem}}</style></head>
<body><h1>{title}</h1>{body}</body></html>
"""


def page(title: str, body: str = "", *, status: int = 200) -> Reply:
    """`body` is HTML, `title` is text."""
    html = _PAGE.format(title=escape(title), body=body)
    return Reply(
        status=status,
        body=html.encode(),
        content_type="text/html; charset=utf-8",
        headers=(("content-security-policy", _CSP),),
    )


def question(text: str) -> Reply:
    """Its button sends the link back to where it came from, by POST."""
    return page(text or "Please confirm", '<form method="post"><button>Confirm</button></form>')
