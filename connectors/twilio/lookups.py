"""Lookup: what is known of a number. Source: https://www.twilio.com/docs/lookup/v2-api

Whether it can be one at all is free; everything else is paid by the look.
"""

from typing import Any, Literal

import msgspec

from connectors.core import DEFAULT_RETRY, Effect, InvalidRequest, declare, resolve
from connectors.twilio.client import twilio_call
from connectors.twilio.connection import TwilioConnection
from connectors.twilio.models import TwilioCall
from dtf_runtime import activity

Field = Literal["line_type_intelligence", "caller_name", "sim_swap", "line_status", "sms_pumping_risk"]


class LookupNumber(TwilioCall, frozen=True, kw_only=True, omit_defaults=True):
    number: str
    """E.164, or as it is written in `country`."""
    country: str = ""
    """ISO 3166, such as DE."""
    fields: list[Field] = msgspec.field(default_factory=list)
    """Paid ones."""


class PhoneNumber(msgspec.Struct, frozen=True, kw_only=True):
    number: str
    """E.164."""
    valid: bool
    country: str
    national_format: str
    problems: list[str]
    """TOO_SHORT, TOO_LONG, INVALID_BUT_POSSIBLE, ...; empty when it is valid."""
    line_type: str
    """mobile, landline, fixedVoip, nonFixedVoip, tollFree, ...; empty unless asked for."""
    carrier: str
    caller_name: str
    more: dict[str, Any]
    """The other fields, as Twilio has them."""


@declare(Effect.READ)
@activity(name="twilio.lookup_number", retry=DEFAULT_RETRY)
def lookup_number(call: LookupNumber) -> PhoneNumber:
    """Raises NotFound for what is no number."""
    connection = resolve(TwilioConnection, call.connection)
    if not call.number.strip("+0123456789 ()-.") == "" or not any(c.isdigit() for c in call.number):
        raise InvalidRequest("a phone number has digits, and perhaps + ( ) - . and spaces")
    asked: dict[str, Any] = {}
    if call.fields:
        asked["fields"] = ",".join(call.fields)
    if call.country:
        asked["country_code"] = call.country
    raw, _ = twilio_call(
        connection,
        "lookup_number",
        lambda sdk: sdk.lookups.v2.phone_numbers(call.number).fetch(**asked),
        repeatable=True,
    )
    line, caller = raw.line_type_intelligence or {}, raw.caller_name or {}
    return PhoneNumber(
        number=raw.phone_number or "",
        valid=bool(raw.valid),
        country=raw.country_code or "",
        national_format=raw.national_format or "",
        problems=list(raw.validation_errors or []),
        line_type=line.get("type") or "",
        carrier=line.get("carrier_name") or "",
        caller_name=caller.get("caller_name") or "",
        more={name: value for name in ("sim_swap", "line_status", "sms_pumping_risk") if (value := getattr(raw, name))},
    )


ACTIVITIES = (lookup_number,)
