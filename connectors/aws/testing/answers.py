"""What goes back to the client: moto's own answers, and errors in the dialect of the service that is asked."""

import json
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4
from xml.sax.saxutils import escape

from connectors.aws.testing.wire import Request


@dataclass(frozen=True)
class Answer:
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def ok(self) -> bool:
        return self.status < 400

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def with_text(self, text: str) -> "Answer":
        """The same with another body; its length is counted anew."""
        kept = tuple((name, value) for name, value in self.headers if name.lower() != "content-length")
        return replace(self, headers=kept, body=text.encode())

    def json(self) -> Any:
        return json.loads(self.body or b"{}")


def error(request: Request, code: str, message: str, *, status: int = 400) -> Answer:
    """An error as the service itself would put it."""
    request_id = str(uuid4())
    if request.protocol == "ec2":
        inner = f"<Errors><Error><Code>{code}</Code><Message>{escape(message)}</Message></Error></Errors>"
        return _xml(status, f"<Response>{inner}<RequestID>{request_id}</RequestID></Response>", request_id)
    if request.protocol == "query" or request.service == "route53":
        kind = "Sender" if status < 500 else "Receiver"
        inner = f"<Error><Type>{kind}</Type><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
        return _xml(status, f"<ErrorResponse>{inner}<RequestId>{request_id}</RequestId></ErrorResponse>", request_id)
    if request.protocol == "rest-xml":
        inner = f"<Code>{code}</Code><Message>{escape(message)}</Message><RequestId>{request_id}</RequestId>"
        return _xml(status, "" if request.method == "HEAD" else f"<Error>{inner}</Error>", request_id)
    headers = (
        ("Content-Type", "application/x-amz-json-1.1"),
        ("x-amzn-RequestId", request_id),
        ("X-Amzn-Errortype", code),
    )
    return Answer(status, headers, json.dumps({"__type": code, "message": message}).encode())


def query_answer(request: Request) -> Answer:
    """Success of an operation of the query protocol that answers nothing."""
    request_id = str(uuid4())
    inner = f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
    return _xml(200, f"<{request.operation}Response>{inner}</{request.operation}Response>", request_id)


def json_answer(content: Any) -> Answer:
    headers = (("Content-Type", "application/x-amz-json-1.1"), ("x-amzn-RequestId", str(uuid4())))
    return Answer(200, headers, json.dumps(content).encode())


def _xml(status: int, text: str, request_id: str) -> Answer:
    headers = (
        ("Content-Type", "text/xml;charset=UTF-8"),
        ("x-amzn-requestid", request_id),
        ("x-amz-request-id", request_id),
    )
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n{text}' if text else ""
    return Answer(status, headers, body.encode())
