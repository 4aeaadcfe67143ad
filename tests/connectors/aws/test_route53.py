"""Records of a hosted zone: how they shall be, and gone when they shall be gone."""

import pytest

from connectors.aws import route53
from connectors.aws.client import aws_call
from connectors.aws.testing import AwsServer
from connectors.core import InvalidRequest, NotFound, Throttled, Transient
from tests.connectors.aws.samples import RECORD, hosted_zone, zone_with_record


def upsert(zone: str, *records: route53.Record) -> route53.ChangeResult:
    found: route53.ChangeResult = route53.upsert_records.fn(route53.UpsertRecords(zone_id=zone, records=list(records)))
    return found


def listed(zone: str, name: str | None = None, type: str | None = None) -> list[route53.Record]:
    call = route53.ListRecords(zone_id=zone, name=name, type=type)
    found: route53.ListRecordsResult = route53.list_records.fn(call)
    return found.records


def test_a_record_is_made_changed_and_listed(aws: AwsServer) -> None:
    zone = hosted_zone()
    made = upsert(zone, RECORD)
    assert made.change_id
    assert made.request_id
    upsert(zone, route53.Record(name="www.example.org.", values=["192.0.2.2", "192.0.2.3"], ttl=60))
    (found,) = listed(zone, "www.example.org")
    assert (found.name, found.type, found.values, found.ttl) == (
        "www.example.org.",
        "A",
        ["192.0.2.2", "192.0.2.3"],
        60,
    )
    assert route53.get_change.fn(route53.ChangeId(change_id=made.change_id)).change_id == made.change_id


def test_a_list_holds_the_name_and_type_and_no_neighbours(aws: AwsServer) -> None:
    zone = hosted_zone()
    upsert(
        zone,
        RECORD,
        route53.Record(name="www.example.org", type="TXT", values=['"hello"']),
        route53.Record(name="www2.example.org", values=["192.0.2.9"]),
        route53.Record(name="*.example.org", values=["192.0.2.8"]),
    )
    assert {one.type for one in listed(zone, "www.example.org")} == {"A", "TXT"}
    assert [one.type for one in listed(zone, "www.example.org", "TXT")] == ["TXT"]
    assert [one.values for one in listed(zone, "*.example.org")] == [["192.0.2.8"]]
    assert len([one for one in listed(zone) if one.type == "A"]) == 3
    assert listed(zone, "nobody.example.org") == []


def test_an_alias_is_sent_as_one_and_read_as_one(aws: AwsServer) -> None:
    zone = hosted_zone()
    target = route53.AliasTarget(zone_id="Z2FDTNDATAQYW2", dns_name="d1.cloudfront.net.")
    upsert(zone, route53.Record(name="shop.example.org", alias=target))
    (found,) = listed(zone, "shop.example.org")
    assert found.alias is not None
    assert found.alias.dns_name.startswith("d1.cloudfront.net")
    assert found.values == []


@pytest.mark.parametrize(
    "record",
    [
        route53.Record(name="x.example.org"),
        route53.Record(name="x.example.org", values=["1"], alias=route53.AliasTarget(zone_id="Z", dns_name="x")),
    ],
)
def test_a_record_has_values_or_an_alias(aws: AwsServer, record: route53.Record) -> None:
    with pytest.raises(InvalidRequest, match="exactly one"):
        upsert("Z1", record)
    assert aws.calls == []


def test_a_deleted_record_is_gone_and_gone_again(aws: AwsServer) -> None:
    zone = zone_with_record()
    call = route53.DeleteRecord(zone_id=zone, name="www.example.org")
    assert route53.delete_record.fn(call).change_id
    assert listed(zone, "www.example.org") == []
    again = route53.delete_record.fn(call)
    assert (again.change_id, again.replayed) == ("", True)


def test_a_record_that_was_changed_since_stays_when_only_the_old_one_is_meant(aws: AwsServer) -> None:
    zone = zone_with_record()
    upsert(zone, route53.Record(name="www.example.org", values=["198.51.100.7"]))
    call = route53.DeleteRecord(zone_id=zone, name="www.example.org", only_values=RECORD.values)
    assert route53.delete_record.fn(call).replayed
    assert listed(zone, "www.example.org")[0].values == ["198.51.100.7"]


def test_a_record_that_goes_while_it_is_deleted_is_gone(aws: AwsServer) -> None:
    call = route53.DeleteRecord(zone_id=zone_with_record(), name="www.example.org")
    text = "[Tried to delete resource record set [name='www.example.org.', type='A'] but it was not found]"
    aws.fail("ChangeResourceRecordSets", status=400, code="InvalidChangeBatch", message=text)
    assert route53.delete_record.fn(call).replayed


def test_a_record_that_changes_while_it_is_deleted_is_looked_up_anew(aws: AwsServer) -> None:
    call = route53.DeleteRecord(zone_id=zone_with_record(), name="www.example.org")
    text = "[Tried to delete resource record set [name='www.example.org.', type='A'] but the values provided do not match the current values]"
    aws.fail("ChangeResourceRecordSets", status=400, code="InvalidChangeBatch", message=text)
    with pytest.raises(Transient, match="changed since"):
        route53.delete_record.fn(call)
    assert route53.delete_record.fn(call).change_id


def test_a_change_while_another_is_under_way_is_throttled(aws: AwsServer) -> None:
    zone = hosted_zone()
    aws.fail("ChangeResourceRecordSets", status=400, code="PriorRequestNotComplete", times=1)
    with pytest.raises(Throttled):
        upsert(zone, RECORD)  # not sent again by botocore: the retry policy waits
    assert upsert(zone, RECORD).change_id


def test_a_zone_is_found_by_exactly_its_domain(aws: AwsServer) -> None:
    zone = hosted_zone()
    found = route53.find_zone.fn(route53.FindZone(domain="example.org"))
    assert (found.zone_id, found.name) == (zone, "example.org.")
    for other in ("www.example.org", "example.com"):
        with pytest.raises(NotFound):
            route53.find_zone.fn(route53.FindZone(domain=other))
    with pytest.raises(NotFound):
        route53.find_zone.fn(route53.FindZone(domain="example.org", private=True))
    aws_call("route53", "create_hosted_zone", {"Name": "example.org.", "CallerReference": "twice"})
    with pytest.raises(InvalidRequest, match="2 zones"):
        route53.find_zone.fn(route53.FindZone(domain="example.org"))


def test_a_zone_that_is_not_there_is_not_found(aws: AwsServer) -> None:
    with pytest.raises(NotFound):
        upsert("Z0000000000", RECORD)
    with pytest.raises(NotFound):
        route53.delete_record.fn(route53.DeleteRecord(zone_id="Z0000000000", name="www.example.org"))


def test_a_long_zone_is_read_page_by_page(aws: AwsServer) -> None:
    zone = hosted_zone()
    for start in range(0, 400, 100):
        upsert(
            zone,
            *(route53.Record(name=f"h{n:03}.example.org", values=["192.0.2.1"]) for n in range(start, start + 100)),
        )
    assert len([one for one in listed(zone) if one.type == "A"]) == 400
    assert [call.operation for call in aws.calls].count("ListResourceRecordSets") == 2  # of 300 each
