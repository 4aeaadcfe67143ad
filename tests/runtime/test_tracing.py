"""Tracing: the event catalogue, redaction, JSON lines, the replay-aware logger and the seam for spans."""

import inspect
import io
import json
import logging
import timeit
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dtf_runtime.tracing import (
    JsonFormatter,
    RedactingHandler,
    Redactor,
    ReplayAwareLogger,
    configure_logging,
    redact_value,
    redactor,
    set_span_sink,
    spans,
)
from dtf_runtime.tracing import events as trace

MASK = "***"
CATALOGUE = trace.catalogue
FRAMEWORK = {  # from EventIds.cs of Azure/durabletask; its name for it in the comment
    11: "worker_started",  # TaskHubWorkerStarted
    12: "worker_stopping",  # TaskHubWorkerStopping
    13: "worker_stopped",  # TaskHubWorkerStopped
    20: "dispatcher_started",  # DispatcherStarting
    21: "dispatcher_stopped",  # DispatcherStopped
    25: "lock_failed",  # FetchWorkItemFailure
    29: "turn_failed",  # ProcessWorkItemFailed
    41: "event_raised",  # RaisingEvent
    42: "orchestration_terminated",  # TerminatingInstance
    49: "orchestration_completed",  # OrchestrationCompleted
    51: "turn_started",  # OrchestrationExecuting
    52: "turn_committed",  # OrchestrationExecuted
    54: "event_dropped",  # DiscardingMessage
    60: "activity_started",  # TaskActivityStarting
    61: "activity_completed",  # TaskActivityCompleted
    62: "activity_failed",  # TaskActivityFailure
    63: "activity_handed_back",  # TaskActivityAborted
    68: "suspended",  # SuspendingInstance
    69: "resumed",  # ResumingInstance
    71: "lock_renewed",  # RenewOrchestrationWorkItemCompleted
    72: "renew_failed",  # RenewOrchestrationWorkItemFailed
}
PAGE = Path(__file__).parents[2] / "docs" / "tracing.md"
SAMPLES: dict[object, object] = {str: "x", int: 7, float: 0.5, bool: True, BaseException | str: "broke"}


class Collected(logging.Handler):
    """Keeps the records it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def collected() -> Iterator[list[logging.LogRecord]]:
    """All records of `dtf_runtime`, from DEBUG on."""
    logger, handler = logging.getLogger("dtf_runtime"), Collected()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler.records
    logger.setLevel(level)
    logger.removeHandler(handler)


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, put back as it was."""
    logger = logging.getLogger()
    level, handlers = logger.level, logger.handlers[:]
    yield logger
    logger.setLevel(level)
    logger.handlers[:] = handlers


def sample(name: str) -> dict[str, object]:
    parameters = inspect.signature(getattr(trace, name)).parameters.values()
    return {parameter.name: SAMPLES[parameter.annotation] for parameter in parameters}


def record_of(message: str, *args: object, exc: BaseException | None = None, **extra: object) -> logging.LogRecord:
    exc_info = (type(exc), exc, exc.__traceback__) if exc else None
    record = logging.LogRecord("test", logging.WARNING, __file__, 1, message, args, exc_info)
    vars(record).update(extra)
    return record


class TestCatalogue:
    def test_no_id_is_used_twice(self) -> None:
        ids = [info.event_id for info in CATALOGUE.values()]
        assert len(set(ids)) == len(ids) > 50

    def test_each_entry_is_a_callable_of_its_name(self) -> None:
        public = {name for name, value in vars(trace).items() if inspect.isfunction(value)} - {"describe"}
        assert public == set(CATALOGUE)
        assert all(getattr(trace, name).__name__ == name == info.name for name, info in CATALOGUE.items())

    @pytest.mark.parametrize("name", CATALOGUE)
    def test_fields_are_keyword_only_and_documented_and_named_by_the_message(self, name: str) -> None:
        function, info = getattr(trace, name), CATALOGUE[name]
        parameters = inspect.signature(function).parameters.values()
        assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in parameters)
        assert function.__doc__
        assert tuple(parameter.name for parameter in parameters) == info.fields
        assert info.message % sample(name)  # a name that is no field: KeyError

    @pytest.mark.parametrize("name", CATALOGUE)
    def test_ids_lie_in_the_range_of_their_subject(self, name: str) -> None:
        info = CATALOGUE[name]
        own = {"orchestration": range(110, 140), "activity": range(140, 150), "provider": range(150, 200)}
        subject = info.logger.name.removeprefix("dtf_runtime.")
        assert FRAMEWORK.get(info.event_id) == name or info.event_id in own.get(subject, range(100, 110))

    def test_the_same_event_has_the_id_it_has_in_the_csharp_framework(self) -> None:
        assert {info.event_id: name for name, info in CATALOGUE.items() if info.event_id < 100} == FRAMEWORK

    @pytest.mark.parametrize("name", CATALOGUE)
    def test_a_call_makes_one_record_with_id_name_fields_and_message(
        self, name: str, collected: list[logging.LogRecord]
    ) -> None:
        info, fields = CATALOGUE[name], sample(name)
        getattr(trace, name)(**fields)
        (record,) = collected
        assert (record.name, record.levelno) == (info.logger.name, info.level)
        assert (vars(record)["dtf_event"], vars(record)["dtf_event_id"]) == (name, info.event_id)
        assert vars(record)["dtf"] == fields
        assert record.getMessage() == info.message % fields
        assert record.filename == Path(__file__).name  # the caller's place, not the catalogue's

    @pytest.mark.parametrize("name", CATALOGUE)
    def test_no_field_has_a_name_that_the_redactor_masks(self, name: str) -> None:
        assert Redactor().value(sample(name)) == sample(name)

    def test_fields_that_are_not_given_have_their_defaults(self, collected: list[logging.LogRecord]) -> None:
        trace.turn_committed(instance_id="order-7", execution_id="e1", events=3)
        assert vars(collected[0])["dtf"] == {
            "instance_id": "order-7", "execution_id": "e1", "events": 3, "messages": 0, "status": "", "seconds": 0.0,
        }  # fmt: skip

    def test_an_exception_becomes_text_and_its_traceback_goes_along(self, collected: list[logging.LogRecord]) -> None:
        error = ValueError("no such sku")
        trace.turn_failed(instance_id="order-7", error=error)
        assert vars(collected[0])["dtf"]["error"] == "ValueError: no such sku"
        assert collected[0].exc_info == (ValueError, error, None)

    def test_an_exception_without_a_text_of_its_own_is_still_traced(self, collected: list[logging.LogRecord]) -> None:
        class Mute(Exception):
            def __str__(self) -> str:
                raise RuntimeError

        trace.turn_failed(instance_id="order-7", error=Mute())
        assert "its text raised RuntimeError" in collected[0].getMessage()

    def test_what_a_users_filter_raises_never_reaches_the_turn(
        self, collected: list[logging.LogRecord], capsys: pytest.CaptureFixture[str]
    ) -> None:
        def broken(record: logging.LogRecord) -> bool:
            raise ZeroDivisionError

        logger = CATALOGUE["turn_failed"].logger
        logger.addFilter(broken)
        try:
            trace.turn_failed(instance_id="order-7", error="x")
        finally:
            logger.removeFilter(broken)
        assert not collected
        assert "ZeroDivisionError" in capsys.readouterr().err


class TestOff:
    @pytest.fixture(autouse=True)
    def off(self, collected: list[logging.LogRecord]) -> None:
        logging.getLogger("dtf_runtime").setLevel(logging.CRITICAL)

    @pytest.mark.parametrize("name", CATALOGUE)
    def test_no_field_is_looked_at_and_no_record_made(self, name: str, collected: list[logging.LogRecord]) -> None:
        class Untouchable:
            def __getattribute__(self, attribute: str) -> object:
                raise AssertionError(f"{attribute} was read")

            def __str__(self) -> str:
                raise AssertionError("formatted")

            __repr__ = __format__ = __str__  # type: ignore[assignment]

        made: list[object] = []
        factory = logging.getLogRecordFactory()

        def counting(*args: object, **kwargs: object) -> logging.LogRecord:
            made.append(args)
            return factory(*args, **kwargs)

        logging.setLogRecordFactory(counting)
        try:
            getattr(trace, name)(**dict.fromkeys(sample(name), Untouchable()))
        finally:
            logging.setLogRecordFactory(factory)
        assert not made
        assert not collected

    def test_a_call_costs_less_than_a_microsecond(self) -> None:
        def call() -> None:
            trace.turn_committed(instance_id="order-7", execution_id="e1", events=3)

        # 0.15 us on a quiet machine; making a record takes ten
        assert min(timeit.repeat(call, number=2_000, repeat=20)) / 2_000 < 1e-6


# Secrets without the characters that end a bare value; quoted ones may hold anything.
BARE = st.text("abcdefXYZ0123456789-_./+=,:!%$", min_size=6, max_size=40)
ANY = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="*"), min_size=6, max_size=40)
SECRET_NAMES = """
    password PASSWORD db_password passwd pwd secret client_secret clientSecret token access_token refreshToken
    sig signature X-Amz-Signature api_key apikey x-api-key access_key AccountKey SharedAccessKey authToken
    aws_secret_access_key X-Amz-Security-Token X-Amz-Credential appsecret_proof
"""
NAMES = st.sampled_from(SECRET_NAMES.split())
HEADERS = st.sampled_from(["Authorization", "authorization", "Proxy-Authorization", "Cookie", "Set-Cookie"])
AROUND = st.sampled_from(["", "x", "retry=3 ", "GET /a?b=c ", "{'a': 1} ", 'he said "no" ', "ünïcode\n"])


class TestRedactedText:
    """No part of a secret is left, and what is around it stays."""

    @given(
        NAMES,
        BARE,
        AROUND,
        st.sampled_from(["=", ": ", ":", " = "]),
        st.sampled_from(["", " tail", "&b=1", ";c=2", "\n"]),
    )
    def test_bare_value(self, name: str, secret: str, before: str, equals: str, after: str) -> None:
        assert Redactor().text(f"{before} {name}{equals}{secret}{after}") == f"{before} {name}{equals}{MASK}{after}"

    @given(NAMES | HEADERS, ANY, st.sampled_from(['"', "'"]), st.sampled_from(["", "b"]))
    @example("password", "a'b\"c\\", '"', "")
    def test_quoted_value_of_any_characters(self, name: str, secret: str, quote_: str, prefix: str) -> None:
        escaped = secret.replace("\\", "\\\\").replace(quote_, "\\" + quote_)
        masked = f"{quote_}{MASK}{quote_}" if not prefix else MASK
        text = f"{{'a': 1, {quote_}{name}{quote_}: {prefix}{quote_}{escaped}{quote_}, 'z': 2}}"
        assert Redactor().text(text) == f"{{'a': 1, {quote_}{name}{quote_}: {masked}, 'z': 2}}"

    @given(NAMES | HEADERS, ANY)
    def test_json_and_json_within_json_stay_json(self, name: str, secret: str) -> None:
        inner = json.dumps({"a": 1, name: secret, "z": "end"})
        assert json.loads(Redactor().text(inner)) == {"a": 1, name: MASK, "z": "end"}
        outer = json.loads(Redactor().text(json.dumps({"body": inner})))
        assert json.loads(outer["body"]) == {"a": 1, name: MASK, "z": "end"}

    @given(NAMES, ANY)
    def test_repr_of_a_mapping_and_of_pairs(self, name: str, secret: str) -> None:
        assert repr(secret)[1:-1] not in Redactor().text(repr({name: secret, "z": 1})).replace(name, "")
        assert Redactor().text(repr([(name, secret), ("z", 1)])).endswith(", ('z', 1)]")
        assert repr(secret)[1:-1] not in Redactor().text(repr([(name, secret), ("z", 1)])).replace(name, "")

    @given(NAMES, ANY)
    def test_a_text_that_was_cut_in_the_middle_of_a_quoted_value(self, name: str, secret: str) -> None:
        cut = json.dumps({name: secret})[:-3]
        assert Redactor().text(cut) == f'{{"{name}": "{MASK}"'

    @given(HEADERS, BARE, BARE)
    def test_a_header_goes_to_the_end_of_its_line(self, name: str, first: str, second: str) -> None:
        text = f'GET / HTTP/1.1\n{name}: Scheme {first}; b="{second}" c\nAccept: x'
        assert Redactor().text(text) == f"GET / HTTP/1.1\n{name}: {MASK}\nAccept: x"

    @given(st.sampled_from(["https", "postgres", "amqps"]), BARE, BARE)
    def test_userinfo_of_a_url(self, scheme: str, user: str, password: str) -> None:
        user = user.translate(str.maketrans("", "", "/:")) + "u"
        text = Redactor().text(f"see {scheme}://{user}:p{password}@db.example/orders?page=2 now")
        assert text == f"see {scheme}://{MASK}@db.example/orders?page=2 now"

    @given(st.from_regex(r"A(KI|SI)A[A-Z0-9]{16}", fullmatch=True), AROUND)
    def test_aws_key_ids(self, key: str, before: str) -> None:
        assert Redactor().text(f"{before} {key}, next") == f"{before} {MASK}, next"

    @given(st.from_regex(r"[A-Za-z0-9._~+/-]{8,60}={0,2}", fullmatch=True))
    def test_bearer_tokens_anywhere(self, token: str) -> None:
        assert Redactor().text(f"sent 'Bearer {token}' twice") == f"sent 'Bearer {MASK}' twice"

    @pytest.mark.parametrize(
        ("text", "masked"),
        [
            ("eyJhbGciOiJI.eyJzdWIiOiIx.abc-def end", "*** end"),
            ("-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\nend", "***\nend"),
            ("-----BEGIN PRIVATE KEY-----\nMII", "***"),
            ("https://x.webhook.office.com/webhookb2/a@b/IncomingWebhook/c/d end",
             "https://x.webhook.office.com/webhookb2/a@b/IncomingWebhook/*** end"),
            ("Endpoint=sb://x/;SharedAccessKey=k+/=;EntityPath=q", "Endpoint=sb://x/;SharedAccessKey=***;EntityPath=q"),
            ("Login(user='u', password=SecretText('abc def'), n=1)", "Login(user='u', password=***), n=1)"),
        ],
    )  # fmt: skip
    def test_other_shapes(self, text: str, masked: str) -> None:
        assert Redactor().text(text) == masked

    @pytest.mark.parametrize(
        "text",
        [
            "turn of order-7 committed: 3 new events",
            "design=1, assign: 2, significant",
            "max_tokens=512, tokens: 5",
            "https://x.example:8080/@user/a?e=a@b.example",
            "401: bearer token expired, missing authorization header",
            "the password is wrong",
            "idempotency_key=order-7/3, key: orders/7",
        ],
    )
    def test_ordinary_text_is_left_alone(self, text: str) -> None:
        assert Redactor().text(text) == text

    @given(
        st.lists(
            st.one_of(
                NAMES, HEADERS, ANY, BARE, st.sampled_from(["=", ": ", '"', "'", "\\", " ", "@", "://", "(", "Bearer "])
            ),
            max_size=12,
        )
    )
    @example(["Authorization", ": ", "Basic abc"])
    @example(["(b'cookie', b'abc'), (b'next', b'one')"])
    def test_masking_twice_changes_nothing_more(self, parts: list[str]) -> None:
        once = Redactor().text("".join(parts))
        assert Redactor().text(once) == once

    @pytest.mark.parametrize(
        "piece", ["password", "://", "://a:", "eyJ", 'pwd="\\', "cookie'  ,", "token" + " " * 50, "bearer "]
    )
    def test_the_time_grows_with_the_length_not_its_square(self, piece: str) -> None:
        def seconds(size: int) -> float:
            text = (piece * size)[:size]
            return min(timeit.repeat(lambda: redactor.text(text), number=1, repeat=5))

        assert seconds(160_000) < 16 * 4 * max(seconds(10_000), 1e-4)  # the square would be 256 times


class TestRegisteredValues:
    @given(ANY.filter(lambda text: len(set(text)) > 3), AROUND, AROUND)
    def test_is_masked_plain_quoted_and_escaped(self, secret: str, before: str, after: str) -> None:
        mine = Redactor()
        mine.add(secret)
        for form in (secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], repr(secret)[1:-1]):
            assert form not in mine.text(f"{before}{form}{after}").replace(before, "", 1)

    def test_a_longer_one_leaves_no_tail_behind_a_shorter_one(self) -> None:
        mine = Redactor()
        mine.add("abcd")
        mine.add("abcdefgh")
        assert mine.text("abcdefgh abcd") == "*** ***"

    def test_one_under_four_characters_is_not_taken(self) -> None:
        mine = Redactor()
        mine.add("abc")
        mine.add("")
        assert mine.text("abc") == "abc"

    def test_only_the_thousand_last_are_kept_and_one_given_again_stays(self) -> None:
        mine = Redactor()
        for n in range(1_000):
            mine.add(f"value{n:04}x")
        mine.add("value0000x")
        mine.add("value1000x")
        assert mine.text("value0000x value0001x value0002x value1000x") == "*** value0001x *** ***"

    def test_redact_value_reaches_every_handler_of_ours(self) -> None:
        redact_value("rt-5f1c9e-only-here")
        stream = io.StringIO()
        RedactingHandler(stream).handle(record_of("sent rt-5f1c9e-only-here"))
        assert stream.getvalue() == "sent ***\n"


class TestRedactedRecords:
    def test_the_name_of_a_secret_is_not_taken_for_one(self) -> None:
        own = Redactor()
        for name in ("token", "Password"):
            own.add(name)
        assert own.text("token=hunter22 password=hunter22") == "token=*** password=***"

    def test_message_fields_exception_and_stack(self) -> None:
        try:
            raise ConnectionError("https://u:hunter22@db.example refused")
        except ConnectionError as error:
            record = record_of(
                "calling with password=%s", "hunter22", exc=error,
                dtf={"url": "https://u:hunter22@db.example", "n": 3, "deep": [{"api_key": "hunter22"}]},
                cookie="hunter22", other=SimpleNamespace(token="hunter22"),
            )  # fmt: skip
        record.stack_info = "password='hunter22'"
        for formatter in (JsonFormatter(), logging.Formatter("%(message)s %(dtf)s %(cookie)s %(other)s")):
            text = formatter.format(redactor.redacted(record))
            assert "hunter22" not in text
            assert "ConnectionError" in text
            assert "db.example refused" in text

    def test_the_handler_leaves_the_record_to_others_as_it_was(self) -> None:
        fields = {"api_key": "hunter22"}
        record = record_of("password=%s", "hunter22", exc=ValueError("x"), dtf=fields)
        RedactingHandler(io.StringIO()).handle(record)
        assert record.getMessage() == "password=hunter22"
        assert record.exc_info and not record.exc_text
        assert vars(record)["dtf"] is fields
        assert fields == {"api_key": "hunter22"}

    def test_as_a_filter_it_masks_for_a_handler_of_the_users(self) -> None:
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        handler.addFilter(redactor)
        handler.handle(record_of("password=%s", "hunter22", exc=ValueError("token=hunter22")))
        assert stream.getvalue() == "password=***\nValueError: token=***\n"

    def test_a_formatter_that_reads_the_exception_by_itself_finds_none(self) -> None:
        record = redactor.redacted(record_of("x", exc=ValueError("token=hunter22")))
        assert record.exc_info is None
        assert record.exc_text == "ValueError: token=***"

    def test_arguments_that_do_not_fit_the_format_are_masked_too(self, capsys: pytest.CaptureFixture[str]) -> None:
        stream = io.StringIO()
        RedactingHandler(stream).handle(record_of("a %d", "password=hunter22"))
        assert "hunter22" not in stream.getvalue() + capsys.readouterr().err
        assert MASK in stream.getvalue()

    def test_data_keeps_its_shape_and_secret_names_lose_their_values(self) -> None:
        when = datetime(2026, 1, 1, tzinfo=UTC)
        data = {
            "a": (1, when),
            "Authorization": ["x"],
            b"cookie": 5,
            "token": None,
            "tokens": 512,
            "has_password": True,
        }
        assert Redactor().value(data) == {
            "a": [1, when], "Authorization": MASK, b"cookie": MASK, "token": None, "tokens": 512, "has_password": True,
        }  # fmt: skip

    def test_cyclic_data_ends(self) -> None:
        data: dict[str, object] = {"password": "hunter22"}
        data["self"] = data
        assert "hunter22" not in str(Redactor().value(data))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.datetimes()
    | st.decimals()
    | st.uuids(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner, inner),
    max_leaves=10,
)


def no_constant(text: str) -> object:
    raise AssertionError(f"{text} is not JSON")


class TestJsonLines:
    @given(st.text(), st.dictionaries(st.text().filter(lambda name: name not in vars(record_of(""))), VALUES))
    @example("a\u2028b\nc\ud800", {"n": float("nan"), "huge": 10**5000})
    def test_whatever_is_logged_gives_one_line_of_json(self, message: str, fields: Mapping[str, object]) -> None:
        line = JsonFormatter().format(record_of("%s", message, dtf=fields))
        assert len(line.splitlines()) == 1
        parsed = json.loads(line, parse_constant=no_constant)
        assert parsed["message"] == message
        assert set(parsed.get("fields", {})) == set(fields)

    def test_an_event_has_its_id_name_fields_and_exception(self, collected: list[logging.LogRecord]) -> None:
        trace.turn_failed(instance_id="order-7", error=ValueError("no such sku"))
        collected[0].created = 1767225600.25
        assert json.loads(JsonFormatter().format(collected[0])) == {
            "time": "2026-01-01T00:00:00.250Z",
            "level": "ERROR",
            "logger": "dtf_runtime.dispatcher",
            "event": "turn_failed",
            "event_id": 29,
            "message": "a turn of instance order-7 failed: ValueError: no such sku",
            "fields": {
                "instance_id": "order-7", "execution_id": "", "name": "", "error": "ValueError: no such sku",
            },
            "exception": "ValueError: no such sku",
        }  # fmt: skip

    def test_what_others_put_in_extra_is_among_the_fields(self) -> None:
        line = json.loads(JsonFormatter().format(record_of("hello", customer=SimpleNamespace(id=7))))
        assert line["fields"] == {"customer": "namespace(id=7)"}
        assert "event" not in line

    def test_cyclic_data_ends(self) -> None:
        data: list[object] = []
        data.append(data)
        assert json.loads(JsonFormatter().format(record_of("x", data=data)))["message"] == "x"


class TestConfigureLogging:
    def test_called_again_it_changes_its_handler_and_adds_none(self, root: logging.Logger) -> None:
        before = len(root.handlers)
        first, second = io.StringIO(), io.StringIO()
        configure_logging("debug", stream=first)
        configure_logging(logging.WARNING, json=True, stream=second)
        assert len(root.handlers) == before + 1
        trace.worker_started(worker="w", hub="orders.db")
        trace.lease_lost(instance_id="order-7")
        assert first.getvalue() == ""
        assert [json.loads(line)["event"] for line in second.getvalue().splitlines()] == ["lease_lost"]

    def test_text_has_time_level_logger_and_message(self, root: logging.Logger) -> None:
        stream = io.StringIO()
        configure_logging(stream=stream)
        trace.worker_started(worker="w", hub="orders.db")
        stamp, rest = stream.getvalue().split(" ", 1)
        assert datetime.fromisoformat(stamp).tzinfo is UTC
        assert rest == "INFO    dtf_runtime.worker: worker w started on orders.db\n"

    def test_the_users_own_loggers_are_shown_and_redacted_and_chatty_libraries_are_not(
        self, root: logging.Logger
    ) -> None:
        stream = io.StringIO()
        configure_logging("DEBUG", stream=stream)
        logging.getLogger("shop.orders").info("password=hunter22")
        logging.getLogger("botocore.auth").debug("signing")
        logging.getLogger("httpx").warning("slow")
        messages = [line.rpartition(": ")[2] for line in stream.getvalue().splitlines()]
        assert messages == ["password=***", "slow"]

    def test_an_unknown_level_is_an_error_and_changes_nothing(self, root: logging.Logger) -> None:
        before = root.handlers[:]
        with pytest.raises(ValueError, match="LOUD"):
            configure_logging("loud")
        assert root.handlers == before


class TestReplayAwareLogger:
    @pytest.fixture
    def replaying(self) -> SimpleNamespace:
        return SimpleNamespace(now=False)

    @pytest.fixture
    def logger(self, replaying: SimpleNamespace) -> ReplayAwareLogger:
        return ReplayAwareLogger(
            logging.getLogger("dtf_runtime.orchestration"), lambda: replaying.now, {"instance_id": "order-7"}
        )

    def test_is_silent_while_replaying_and_only_then(
        self, logger: ReplayAwareLogger, replaying: SimpleNamespace, collected: list[logging.LogRecord]
    ) -> None:
        replaying.now = True
        logger.info("again")
        logger.critical("again")
        logger.exception("again")  # noqa: LOG004
        logger.log(logging.ERROR, "again")
        assert not logger.isEnabledFor(logging.CRITICAL)
        replaying.now = False
        logger.info("first %s", "time")
        assert [record.getMessage() for record in collected] == ["first time"]
        assert collected[0].filename == Path(__file__).name

    def test_adds_the_context_and_keeps_what_the_caller_gives(
        self, logger: ReplayAwareLogger, collected: list[logging.LogRecord]
    ) -> None:
        logger.warning("late", extra={"customer": "c1"})
        logger.warning("late")
        lines = [json.loads(JsonFormatter().format(record))["fields"] for record in collected]
        assert lines == [{"instance_id": "order-7", "customer": "c1"}, {"instance_id": "order-7"}]

    def test_a_name_that_a_record_has_already_is_a_field_and_no_error(
        self, logger: ReplayAwareLogger, collected: list[logging.LogRecord]
    ) -> None:
        logger.warning("late", extra={"name": "n", "message": "m", "args": 1, "dtf": {"x": 1}})
        fields = json.loads(JsonFormatter().format(collected[0]))["fields"]
        assert fields == {"instance_id": "order-7", "name": "n", "message": "m", "args": 1, "dtf": {"x": 1}}


class Sink:
    """Notes the spans that were begun and ended."""

    def __init__(self, fails: str = "") -> None:
        self.seen: list[tuple[str, object]] = []
        self.fails = fails
        self.traceparent = "00-trace-span-01"

    def begin(self, name: str, *, parent: str, start: datetime | None, attributes: Mapping[str, str | int]) -> "Sink":
        if self.fails == "begin":
            raise OSError("collector gone")
        self.seen.append((name, dict(attributes) | {"parent": parent, "start": start}))
        return self

    def end(self, *, error: str = "") -> None:
        if self.fails == "end":
            raise OSError("collector gone")
        self.seen.append(("end", error))


class TestSpans:
    @pytest.fixture(autouse=True)
    def no_sink_afterwards(self) -> Iterator[None]:
        yield
        set_span_sink(None)

    def test_without_a_sink_nothing_is_made_and_the_parent_travels_on(self) -> None:
        assert spans.begin("timer", "", instance_id="a") is spans.begin("activity", "b", instance_id="a")
        with spans.begin("activity", "b", instance_id="a", parent="00-t-s-01") as span:
            assert span.traceparent == "00-t-s-01"

    def test_a_sink_is_told_the_begin_the_end_and_the_error(self) -> None:
        sink = Sink()
        set_span_sink(sink)
        fire_at = datetime(2026, 1, 1, tzinfo=UTC)
        with pytest.raises(ValueError, match="no"):  # noqa: SIM117
            with spans.begin(
                "activity", "charge", instance_id="order-7", execution_id="e1", version="2", task_id=3,
                parent="00-t-s-01", fire_at=fire_at,
            ) as span:  # fmt: skip
                assert span.traceparent == sink.traceparent
                raise ValueError("no")
        span.end(error="again")
        assert sink.seen == [
            ("activity:charge", {
                "durabletask.type": "activity", "durabletask.task.name": "charge",
                "durabletask.task.instance_id": "order-7", "durabletask.task.execution_id": "e1",
                "durabletask.task.version": "2", "durabletask.task.task_id": 3,
                "durabletask.fire_at": "2026-01-01T00:00:00+00:00", "parent": "00-t-s-01", "start": None,
            }),
            ("end", "ValueError: no"),
        ]  # fmt: skip

    def test_an_event_names_its_target(self) -> None:
        sink = Sink()
        set_span_sink(sink)
        spans.begin("orchestration_event", "approved", instance_id="order-7").end()
        (_, attributes), end = sink.seen
        assert end == ("end", "")
        assert isinstance(attributes, dict)
        assert attributes["durabletask.event.target_instance_id"] == "order-7"

    @pytest.mark.parametrize("when", ["begin", "end"])
    def test_a_sink_that_raises_is_traced_and_not_felt(self, when: str, collected: list[logging.LogRecord]) -> None:
        set_span_sink(Sink(fails=when))
        with spans.begin("activity", "charge", instance_id="order-7"):
            pass
        assert [vars(record)["dtf_event"] for record in collected] == ["tracing_failed"]
        assert "collector gone" in collected[0].getMessage()


def test_the_page_lists_the_whole_catalogue() -> None:
    entries = sorted(CATALOGUE.values(), key=lambda info: info.event_id)
    expected = [
        f"| {info.event_id} | `{info.name}` | {logging.getLevelName(info.level)} "
        f"| {info.logger.name.removeprefix('dtf_runtime.')} | {', '.join(info.fields)} | {summary(info.name)} |"
        for info in entries
    ]
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:3].strip("| ").isdigit()]
    assert sorted(rows, key=lambda row: int(row.split("|")[1])) == expected


def summary(name: str) -> str:
    return " ".join((inspect.getdoc(getattr(trace, name)) or "").split())
