"""Route 53: records of a hosted zone. UPSERT says how a record shall be, so a repeat changes nothing; each change has an id to ask for."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from connectors.aws.client import aws_call, request_id
from connectors.aws.models import AwsCall
from connectors.core import DEFAULT_RETRY, Effect, InvalidRequest, Mutation, NotFound, Permanent, Transient, declare
from dtf_runtime import activity

_PAGES = 1000  # of 300 records


class AliasTarget(msgspec.Struct, frozen=True, kw_only=True):
    """An AWS resource that the record stands for, such as a load balancer or a distribution."""

    zone_id: str
    """The resource's own zone, not the record's."""
    dns_name: str
    evaluate_health: bool = False


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Values with their time to live, or an alias."""

    name: str
    """"www.example.org", with or without the dot at its end."""
    type: str = "A"
    """A, AAAA, CNAME, TXT, MX, SRV, CAA, NS, ..."""
    values: list[str] = msgspec.field(default_factory=list)
    """As in a zone file: a TXT value has its quotes."""
    ttl: int = 300
    """Seconds."""
    alias: AliasTarget | None = None
    set_identifier: str | None = None
    """Tells records of one name and type apart that are weighted."""
    weight: int | None = None
    """0 to 255, with `set_identifier`."""


class UpsertRecords(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    """All of them or none."""

    zone_id: str
    records: list[Record]
    comment: str = ""


class DeleteRecord(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    zone_id: str
    name: str
    type: str = "A"
    set_identifier: str | None = None
    only_values: list[str] | None = None
    """Deletes it only while it has these values, in any order: one that was changed since is somebody else's, and stays."""


class ChangeResult(Mutation, frozen=True, kw_only=True):
    change_id: str
    """Empty: nothing was to be changed."""
    status: str
    """PENDING, or INSYNC on all of Route 53's servers."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    change_id: str
    status: str
    """PENDING, or INSYNC on all of Route 53's servers."""


class ChangeId(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    change_id: str


class ListRecords(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    zone_id: str
    name: str | None = None
    """Only of this name."""
    type: str | None = None


class ListRecordsResult(msgspec.Struct, frozen=True, kw_only=True):
    records: list[Record]


class FindZone(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    domain: str
    private: bool = False


class Zone(msgspec.Struct, frozen=True, kw_only=True):
    zone_id: str
    name: str


@declare(Effect.NATURAL, "UPSERT says how it shall be", permissions=("route53:ChangeResourceRecordSets",))
@activity(name="aws.route53.upsert_records", retry=DEFAULT_RETRY)
def upsert_records(call: UpsertRecords) -> ChangeResult:
    """Raises Permanent (InvalidChangeBatch) for a record that can't be, NotFound for the zone."""
    if not call.records:
        raise InvalidRequest("upsert_records was given no record")
    return _change(call, call.zone_id, "UPSERT", [_raw(record) for record in call.records], call.comment)


@declare(
    Effect.NATURAL,
    "a missing record is what was wanted",
    permissions=("route53:ChangeResourceRecordSets", "route53:ListResourceRecordSets"),
)
@activity(name="aws.route53.delete_record", retry=DEFAULT_RETRY)
def delete_record(call: DeleteRecord) -> ChangeResult:
    """Looks the record up first, since Route 53 deletes only what is named with all that it holds; if it changes in between, looks again at
    the next attempt. A zone that is gone is NotFound."""
    for raw in _listed(call, call.zone_id, call.name, call.type):
        if raw.get("SetIdentifier") != call.set_identifier:
            continue
        values = [one["Value"] for one in raw.get("ResourceRecords") or ()]
        if call.only_values is not None and sorted(values) != sorted(call.only_values):
            return ChangeResult(change_id="", status="INSYNC", replayed=True)
        try:
            return _change(call, call.zone_id, "DELETE", [raw], "")
        except Permanent as error:
            if error.code == "InvalidChangeBatch" and "do not match" in str(error):
                raise Transient(f"{error} (it was changed since it was looked up)", code=error.code) from None
            if error.code != "InvalidChangeBatch" or "not found" not in str(error):
                raise
            break
    return ChangeResult(change_id="", status="INSYNC", replayed=True)


@declare(Effect.READ, permissions=("route53:GetChange",))
@activity(name="aws.route53.get_change", retry=DEFAULT_RETRY)
def get_change(call: ChangeId) -> Change:
    """Raises NotFound (NoSuchChange)."""
    info = _route53(call, "get_change", {"Id": call.change_id})["ChangeInfo"]
    return Change(change_id=_bare(info["Id"]), status=info["Status"])


@declare(Effect.READ, permissions=("route53:ListResourceRecordSets",))
@activity(name="aws.route53.list_records", retry=DEFAULT_RETRY)
def list_records(call: ListRecords) -> ListRecordsResult:
    """Raises NotFound for the zone."""
    return ListRecordsResult(records=[_record(raw) for raw in _listed(call, call.zone_id, call.name, call.type)])


@declare(Effect.READ, permissions=("route53:ListHostedZonesByName",))
@activity(name="aws.route53.find_zone", retry=DEFAULT_RETRY)
def find_zone(call: FindZone) -> Zone:
    """The zone of exactly this domain. Raises NotFound, and InvalidRequest when there are several."""
    name = _dotted(call.domain)
    zones = _route53(call, "list_hosted_zones_by_name", {"DNSName": name})["HostedZones"]
    found = [one for one in zones if one["Name"] == name and one["Config"].get("PrivateZone", False) == call.private]
    if len(found) > 1:
        raise InvalidRequest(f"{len(found)} zones are called {name!r}: name one by its id")
    if not found:
        raise NotFound(f"there is no {'private' if call.private else 'public'} zone {name!r}", code="NoSuchHostedZone")
    return Zone(zone_id=_bare(found[0]["Id"]), name=name)


def _route53(call: AwsCall, operation: str, given: Mapping[str, Any], effect: Effect = Effect.READ) -> dict[str, Any]:
    return aws_call("route53", operation, given, connection=call.connection, region=call.region, effect=effect)


def _change(call: AwsCall, zone: str, action: str, records: list[dict[str, Any]], comment: str) -> ChangeResult:
    batch: dict[str, Any] = {"Changes": [{"Action": action, "ResourceRecordSet": one} for one in records]}
    if comment:
        batch["Comment"] = comment
    given = {"HostedZoneId": zone, "ChangeBatch": batch}
    answer = _route53(call, "change_resource_record_sets", given, Effect.NATURAL)
    info = answer["ChangeInfo"]
    return ChangeResult(request_id=request_id(answer), change_id=_bare(info["Id"]), status=info["Status"])


def _listed(call: AwsCall, zone: str, name: str | None, type: str | None) -> Iterator[dict[str, Any]]:
    """Those of the name and type, where given. Route 53 lists from a place on, so it is left when they are passed."""
    given: dict[str, Any] = {"HostedZoneId": zone}
    if name is not None:
        given |= {"StartRecordName": _dotted(name)} | ({"StartRecordType": type} if type else {})
    for _ in range(_PAGES):
        answer = _route53(call, "list_resource_record_sets", given)
        for raw in answer["ResourceRecordSets"]:
            if name is not None and _plain(raw["Name"]) != _plain(_dotted(name)):
                return
            if type is None or raw["Type"] == type:
                yield raw
        if not answer.get("IsTruncated"):
            return
        given = {"HostedZoneId": zone} | {
            start: answer[follows]
            for start, follows in (
                ("StartRecordName", "NextRecordName"),
                ("StartRecordType", "NextRecordType"),
                ("StartRecordIdentifier", "NextRecordIdentifier"),
            )
            if answer.get(follows)
        }


def _raw(record: Record) -> dict[str, Any]:
    if bool(record.values) == (record.alias is not None):
        raise InvalidRequest(f"record {record.name!r} has values or an alias, exactly one of them")
    raw: dict[str, Any] = {"Name": _dotted(record.name), "Type": record.type}
    if record.alias is not None:
        raw["AliasTarget"] = {
            "HostedZoneId": record.alias.zone_id,
            "DNSName": record.alias.dns_name,
            "EvaluateTargetHealth": record.alias.evaluate_health,
        }
    else:
        raw |= {"TTL": record.ttl, "ResourceRecords": [{"Value": value} for value in record.values]}
    for member, value in (("SetIdentifier", record.set_identifier), ("Weight", record.weight)):
        if value is not None:
            raw[member] = value
    return raw


def _record(raw: Mapping[str, Any]) -> Record:
    target = raw.get("AliasTarget")
    return Record(
        name=raw["Name"],
        type=raw["Type"],
        values=[one["Value"] for one in raw.get("ResourceRecords") or ()],
        ttl=raw.get("TTL", 0),
        alias=target
        and AliasTarget(
            zone_id=target["HostedZoneId"],
            dns_name=target["DNSName"],
            evaluate_health=target.get("EvaluateTargetHealth", False),
        ),
        set_identifier=raw.get("SetIdentifier"),
        weight=raw.get("Weight"),
    )


def _dotted(name: str) -> str:
    return name if name.endswith(".") else f"{name}."


def _plain(name: str) -> str:
    """Route 53 writes `*` and others as `\\052`."""
    return name.lower().replace("\\052", "*")


def _bare(identifier: str) -> str:
    """Without the "/change/" or "/hostedzone/" before it."""
    return identifier.rpartition("/")[2]


ACTIVITIES = (delete_record, find_zone, get_change, list_records, upsert_records)
