"""The fake's answers, in the shapes of Twilio's API. Sources: the resources' pages under https://www.twilio.com/docs/"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlencode

from connectors.twilio.testing.world import Thing, Verification

API = "2010-04-01"


def message(account: str, one: Thing) -> dict[str, Any]:
    return {
        "sid": one.sid,
        "account_sid": account,
        "api_version": API,
        "to": one.to,
        "from": one.from_ or None,
        "body": one.body,
        "status": one.status,
        "direction": one.direction,
        "num_segments": str(segments(one.body)),
        "num_media": str(one.media),
        "messaging_service_sid": one.messaging_service_sid or None,
        "error_code": one.error_code,
        "error_message": None,
        "price": "-0.00790" if one.sent else None,
        "price_unit": "USD",
        "date_created": _mail(one.created),
        "date_sent": _mail(one.sent),
        "date_updated": _mail(one.updated or one.created),
        "uri": f"/{API}/Accounts/{account}/Messages/{one.sid}.json",
        "subresource_uris": {"media": f"/{API}/Accounts/{account}/Messages/{one.sid}/Media.json"},
    }


def call(account: str, one: Thing) -> dict[str, Any]:
    is_over = one.status == "completed"
    return {
        "sid": one.sid,
        "account_sid": account,
        "api_version": API,
        "to": one.to,
        "from": one.from_,
        "status": one.status,
        "direction": one.direction,
        "duration": "8" if is_over else None,
        "answered_by": None,
        "price": "-0.01300" if is_over else None,
        "price_unit": "USD",
        "date_created": _mail(one.created),
        "date_updated": _mail(one.updated or one.created),
        "start_time": None,
        "end_time": None,
        "uri": f"/{API}/Accounts/{account}/Calls/{one.sid}.json",
        "subresource_uris": {},
    }


def verification(account: str, service: str, one: Verification) -> dict[str, Any]:
    return {
        "sid": one.sid,
        "service_sid": service,
        "account_sid": account,
        "to": one.to,
        "channel": one.channel,
        "status": one.status,
        "valid": one.status == "approved",
        "lookup": {},
        "amount": None,
        "payee": None,
        "send_code_attempts": [
            {"time": _iso(when), "channel": one.channel, "attempt_sid": sid} for when, sid in one.sends
        ],
        "sna": None,
        "date_created": _iso(one.created),
        "date_updated": _iso(one.sends[-1][0]),
        "url": f"https://verify.twilio.com/v2/Services/{service}/Verifications/{one.sid}",
    }


def attempts(account: str, service: str, one: Verification) -> list[dict[str, Any]]:
    return [
        {
            "sid": sid,
            "account_sid": account,
            "service_sid": service,
            "verification_sid": one.sid,
            "date_created": _iso(when),
            "date_updated": _iso(when),
            "conversion_status": "converted" if one.status == "approved" else "unconverted",
            "channel": one.channel,
            "price": {"value": "0.05", "currency": "USD"},
            "channel_data": {"to": one.to},
            "url": f"https://verify.twilio.com/v2/Attempts/{sid}",
        }
        for when, sid in one.sends
    ]


def number(digits: str, *, fields: str) -> dict[str, Any]:
    asked = {part for part in fields.split(",") if part}
    return {
        "phone_number": digits,
        "country_code": "US",
        "calling_country_code": "1",
        "national_format": digits.removeprefix("+1"),
        "valid": len(digits) >= 9,
        "validation_errors": [] if len(digits) >= 9 else ["TOO_SHORT"],
        "line_type_intelligence": {"type": "mobile", "carrier_name": "Fake Mobile", "error_code": None}
        if "line_type_intelligence" in asked
        else None,
        "caller_name": {"caller_name": None, "caller_type": None, "error_code": None}
        if "caller_name" in asked
        else None,
        "url": f"https://lookups.twilio.com/v2/PhoneNumbers/{digits}",
    }


def meta_page(name: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """As the newer API pages: everything fits into one here."""
    meta = {"key": name, "page": 0, "page_size": 50, "next_page_url": None, "previous_page_url": None}
    return {name: list(rows), "meta": meta}


def page(name: str, path: str, query: Mapping[str, str], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One page, and the address of the next."""
    size, at = min(int(query.get("PageSize", 50)), 1_000), int(query.get("Page", 0))
    chunk = rows[at * size : (at + 1) * size]
    more = len(rows) > (at + 1) * size
    following = urlencode({**query, "PageSize": str(size), "Page": str(at + 1), "PageToken": f"PA{at + 1}"})
    return {
        name: chunk,
        "page": at,
        "page_size": size,
        "start": at * size,
        "end": at * size + max(len(chunk) - 1, 0),
        "uri": f"{path}?{urlencode(query)}",
        "first_page_uri": path,
        "next_page_uri": f"{path}?{following}" if more else None,
        "previous_page_uri": None,
    }


def segments(body: str) -> int:
    plain = body.isascii()
    one, several = (160, 153) if plain else (70, 67)
    return 1 if len(body) <= one else -(-len(body) // several)


def _mail(when: datetime | None) -> str | None:
    return format_datetime(when.astimezone(UTC).replace(microsecond=0)) if when else None


def _iso(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
