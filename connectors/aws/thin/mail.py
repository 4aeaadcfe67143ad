"""SES: send a mail. Addresses and text are kept in history."""

from typing import Any

import msgspec

from connectors.aws.client import request_id
from connectors.aws.models import AwsCall
from connectors.aws.thin.operation import Answer
from connectors.core import InvalidRequest, Mutation


class SendEmail(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    """`subject` with `text`, `html` or both; or a `template`."""

    sender: str
    """An address, or a domain's, that SES has verified."""
    to: list[str]
    """With `cc` and `bcc` at most 50."""
    cc: list[str] = msgspec.field(default_factory=list)
    bcc: list[str] = msgspec.field(default_factory=list)
    reply_to: list[str] = msgspec.field(default_factory=list)
    subject: str = ""
    text: str | None = None
    html: str | None = None
    template: str | None = None
    """The name of one that SES has."""
    template_data: dict[str, Any] = msgspec.field(default_factory=dict)
    configuration_set: str | None = None


class SendEmailResult(Mutation, frozen=True, kw_only=True):
    message_id: str


def send(call: SendEmail, key: str) -> dict[str, Any]:
    if bool(call.template) == bool(call.text or call.html):
        raise InvalidRequest("a mail has a template, or text, html or both")
    return {
        "FromEmailAddress": call.sender,
        "Destination": {"ToAddresses": call.to, "CcAddresses": call.cc, "BccAddresses": call.bcc},
        "ReplyToAddresses": call.reply_to or None,
        "Content": _content(call),
        "EmailTags": [{"Name": "dtf-key", "Value": key}],  # in the events that SES publishes
        "ConfigurationSetName": call.configuration_set,
    }


def _content(call: SendEmail) -> dict[str, Any]:
    if call.template:
        data = msgspec.json.encode(call.template_data).decode()
        return {"Template": {"TemplateName": call.template, "TemplateData": data}}
    bodies = {"Text": call.text, "Html": call.html}
    body = {name: {"Data": text, "Charset": "UTF-8"} for name, text in bodies.items() if text}
    return {"Simple": {"Subject": {"Data": call.subject, "Charset": "UTF-8"}, "Body": body}}


def read(call: SendEmail, key: str, answer: Answer) -> SendEmailResult:
    return SendEmailResult(request_id=request_id(answer), message_id=answer.get("MessageId") or "")
