"""The HTTP connector: any API, any file on the web, pages and long-running operations. Its errors are those of `connectors.core`.

Importing it loads no HTTP library; the first request does.
"""

from connectors.core.connections import settings, variable
from connectors.http.activities import request
from connectors.http.callbacks import (
    CALLBACK_URL,
    CallAndWait,
    CallbackResult,
    CallbackTimedOut,
    RequestWithCallback,
    call_and_wait_for_callback,
    request_with_callback,
)
from connectors.http.credentials import HttpConnection
from connectors.http.download import Download, Downloaded, download
from connectors.http.errors import UnexpectedAnswer
from connectors.http.models import Check, HttpRequest, HttpResponse, Part
from connectors.http.pages import (
    ByCursor,
    ByLink,
    ByOffset,
    ByUrl,
    FetchPage,
    Page,
    Pages,
    Paginate,
    fetch_page,
    paginate,
)
from connectors.http.upload import Upload, Uploaded, upload
from connectors.http.waits import OperationFailed, OperationResult, OperationTimedOut, PollOperation, poll_operation
from dtf_runtime import ConnectorInfo

__all__ = [
    "CALLBACK_URL",
    "CONNECTOR",
    "ByCursor",
    "ByLink",
    "ByOffset",
    "ByUrl",
    "CallAndWait",
    "CallbackResult",
    "CallbackTimedOut",
    "Check",
    "Download",
    "Downloaded",
    "FetchPage",
    "HttpConnection",
    "HttpRequest",
    "HttpResponse",
    "OperationFailed",
    "OperationResult",
    "OperationTimedOut",
    "Page",
    "Pages",
    "Paginate",
    "Part",
    "PollOperation",
    "RequestWithCallback",
    "UnexpectedAnswer",
    "Upload",
    "Uploaded",
    "call_and_wait_for_callback",
    "download",
    "fetch_page",
    "paginate",
    "poll_operation",
    "request",
    "request_with_callback",
    "upload",
]

CONNECTOR = ConnectorInfo(
    name="http",
    version="1",
    activities=(request, fetch_page, download, upload, request_with_callback),
    orchestrations=(paginate, poll_operation, call_and_wait_for_callback),
    connection=HttpConnection,
    environment={
        variable(HttpConnection, "default", field.name): str(field.metadata["help"])
        for field in settings(HttpConnection)
        if field.name != "resolver"
    }
    | {
        "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY": "proxies, where the connection names none",
        "SSL_CERT_FILE, SSL_CERT_DIR": "certificates to trust",
    },
)
