"""DynamoDB: get, put, update, delete, query, transact. Values as in `values.py`.

A conditional write that had happened would fail its own condition when it is repeated. So it leaves this call's key in the attribute `dtf:key`,
and a repeat that finds it there knows. Should another write come in between, the key is gone: what must never be applied twice even then
goes into `transact_write`, whose token DynamoDB itself remembers for ten minutes.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from connectors.aws.client import aws_call, request_id
from connectors.aws.models import KEY_TAG, AwsCall
from connectors.aws.thin.operation import Answer
from connectors.aws.thin.values import item_of, read_item, written
from connectors.core import ConnectorError, InvalidRequest, Mutation, Transient

KEY_ATTRIBUTE = KEY_TAG
_SET = re.compile(r"\bSET\s+", re.IGNORECASE)
_REASONS = re.compile(r"\[([\w, ]+)\]")
_PASSING = frozenset({"None", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})


class TableCall(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    table: str
    names: Mapping[str, str] = msgspec.field(default_factory=dict)
    """What the "#..." of the expressions stand for."""
    values: Mapping[str, Any] = msgspec.field(default_factory=dict)
    """What the ":..." of the expressions stand for."""


class GetItem(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    table: str
    key: Mapping[str, Any]
    consistent: bool = True
    """False: half the price, and maybe the state of a second ago."""


class ItemResult(msgspec.Struct, frozen=True, kw_only=True):
    item: dict[str, Any] | None
    """None: there is none."""


class PutItem(TableCall, frozen=True, kw_only=True, omit_defaults=True):
    """The whole item. With a condition it gets the attribute `dtf:key` too."""

    item: Mapping[str, Any]
    condition: str | None = None
    """Such as "attribute_not_exists(id)". None: whatever is there is replaced."""


class UpdateItem(TableCall, frozen=True, kw_only=True, omit_defaults=True):
    """The item gets the attribute `dtf:key` too."""

    key: Mapping[str, Any]
    update: str
    """Such as "SET price = :p ADD sold :one"."""
    condition: str | None = None


class WriteResult(Mutation, frozen=True, kw_only=True):
    item: dict[str, Any] | None = None
    """After an update: all of it."""


class DeleteItem(TableCall, frozen=True, kw_only=True, omit_defaults=True):
    key: Mapping[str, Any]
    condition: str | None = None


class QueryItems(TableCall, frozen=True, kw_only=True, omit_defaults=True):
    key_condition: str
    """Such as "customer = :c AND begins_with(placed, :year)"."""
    index: str | None = None
    filter: str | None = None
    projection: str | None = None
    limit: int | None = None
    """Items that are looked at, before the filter."""
    descending: bool = False
    consistent: bool = False
    page: dict[str, Any] | None = None
    """`next_page` of the page before."""


class QueryResult(msgspec.Struct, frozen=True, kw_only=True):
    items: list[dict[str, Any]]
    next_page: dict[str, Any] | None
    """None: this was the last."""


class TransactAction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of a transaction. put takes `item`; update `key` and `update`; delete `key`; check `key` and `condition`."""

    do: Literal["put", "update", "delete", "check"]
    table: str
    item: Mapping[str, Any] = msgspec.field(default_factory=dict)
    key: Mapping[str, Any] = msgspec.field(default_factory=dict)
    update: str | None = None
    condition: str | None = None
    names: Mapping[str, str] = msgspec.field(default_factory=dict)
    values: Mapping[str, Any] = msgspec.field(default_factory=dict)


class TransactWrite(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    actions: list[TransactAction]
    """1 to 100, all or none."""


def send_get(call: GetItem, key: str) -> dict[str, Any]:
    return {"TableName": call.table, "Key": item_of(call.key), "ConsistentRead": call.consistent}


def read_get(call: GetItem, key: str, answer: Answer) -> ItemResult:
    return ItemResult(item=read_item(answer["Item"]) if answer.get("Item") else None)


def send_put(call: PutItem, key: str) -> dict[str, Any]:
    item = {**call.item, KEY_ATTRIBUTE: key} if call.condition else call.item
    return {"TableName": call.table, "Item": item_of(item), **_expressions(call, call.condition)}


def read_write(call: Any, key: str, answer: Answer) -> WriteResult:
    item = read_item(answer["Attributes"]) if answer.get("Attributes") else None
    return WriteResult(request_id=request_id(answer), item=item)


def adopt_put(call: PutItem, key: str, error: ConnectorError) -> WriteResult | None:
    if error.code != "ConditionalCheckFailedException":
        return None
    schema = aws_call("dynamodb", "describe_table", {"TableName": call.table}, **_where(call))["Table"]["KeySchema"]
    found = _item(call, {one["AttributeName"]: call.item[one["AttributeName"]] for one in schema})
    return WriteResult(replayed=True) if found and found.get(KEY_ATTRIBUTE) == key else None


def send_update(call: UpdateItem, key: str) -> dict[str, Any]:
    mark = "#dtf_key = :dtf_key"
    update, found = _SET.subn(f"SET {mark}, ", call.update, count=1)
    if not found:
        update = f"{call.update} SET {mark}"
    fresh = "(attribute_not_exists(#dtf_key) OR #dtf_key <> :dtf_key)"
    given = _expressions(call, f"({call.condition}) AND {fresh}" if call.condition else fresh)
    return {
        **given,
        "TableName": call.table,
        "Key": item_of(call.key),
        "UpdateExpression": update,
        "ExpressionAttributeNames": {**(given["ExpressionAttributeNames"] or {}), "#dtf_key": KEY_ATTRIBUTE},
        "ExpressionAttributeValues": {**(given["ExpressionAttributeValues"] or {}), ":dtf_key": written(key)},
        "ReturnValues": "ALL_NEW",
    }


def adopt_update(call: UpdateItem, key: str, error: ConnectorError) -> WriteResult | None:
    if error.code != "ConditionalCheckFailedException":
        return None
    found = _item(call, call.key)
    return WriteResult(replayed=True, item=found) if found and found.get(KEY_ATTRIBUTE) == key else None


def send_delete(call: DeleteItem, key: str) -> dict[str, Any]:
    return {"TableName": call.table, "Key": item_of(call.key), **_expressions(call, call.condition)}


def adopt_delete(call: DeleteItem, key: str, error: ConnectorError) -> WriteResult | None:
    if error.code != "ConditionalCheckFailedException":
        return None
    return WriteResult(replayed=True) if _item(call, call.key) is None else None


def send_query(call: QueryItems, key: str) -> dict[str, Any]:
    return {
        "TableName": call.table,
        "IndexName": call.index,
        "KeyConditionExpression": call.key_condition,
        "FilterExpression": call.filter,
        "ProjectionExpression": call.projection,
        "Limit": call.limit,
        "ScanIndexForward": not call.descending,
        "ConsistentRead": call.consistent,
        "ExclusiveStartKey": item_of(call.page) if call.page else None,
        **{name: value for name, value in _expressions(call, None).items() if name != "ConditionExpression"},
    }


def read_query(call: QueryItems, key: str, answer: Answer) -> QueryResult:
    last = answer.get("LastEvaluatedKey")
    return QueryResult(
        items=[read_item(raw) for raw in answer.get("Items") or ()], next_page=read_item(last) if last else None
    )


def send_transact(call: TransactWrite, key: str) -> dict[str, Any]:
    return {"TransactItems": [_action(one) for one in call.actions], "ClientRequestToken": key}


def adopt_transact(call: TransactWrite, key: str, error: ConnectorError) -> WriteResult | None:
    """A transaction that met another one is worth another try; a condition that failed is not."""
    reasons = _REASONS.search(str(error)) if error.code == "TransactionCanceledException" else None
    if reasons and {one.strip() for one in reasons[1].split(",")} <= _PASSING:
        raise Transient(str(error), code=error.code, status=error.status, request_id=error.request_id) from None
    return None


def _action(one: TransactAction) -> dict[str, Any]:
    wants = {"put": ("item",), "update": ("key", "update"), "delete": ("key",), "check": ("key", "condition")}[one.do]
    if missing := [name for name in wants if not getattr(one, name)]:
        raise InvalidRequest(f"{one.do} on {one.table} needs {' and '.join(missing)}")
    given = {
        "TableName": one.table,
        "Item": item_of(one.item) if one.do == "put" else None,
        "Key": item_of(one.key) if one.do != "put" else None,
        "UpdateExpression": one.update,
        **_expressions(one, one.condition),
    }
    kind = {"put": "Put", "update": "Update", "delete": "Delete", "check": "ConditionCheck"}[one.do]
    return {kind: {name: value for name, value in given.items() if value is not None}}


def _expressions(call: TableCall | TransactAction, condition: str | None) -> dict[str, Any]:
    return {
        "ConditionExpression": condition,
        "ExpressionAttributeNames": dict(call.names) or None,
        "ExpressionAttributeValues": item_of(call.values) or None,
    }


def _where(call: AwsCall) -> dict[str, Any]:
    return {"connection": call.connection, "region": call.region}


def _item(call: TableCall, key: Mapping[str, Any]) -> dict[str, Any] | None:
    given = {"TableName": call.table, "Key": item_of(key), "ConsistentRead": True}
    found = aws_call("dynamodb", "get_item", given, **_where(call)).get("Item")
    return read_item(found) if found else None
