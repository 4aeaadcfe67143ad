"""The guarantees of connectors and sub-orchestrations, for `tests.sabotage`."""

from tests.removals import Removal

_CORE, _AWS, _TWILIO = "connectors/core/", "connectors/aws/", "connectors/twilio/"
_HTTP_TESTS, _AWS_TESTS, _TWILIO_TESTS = "tests/connectors/http/", "tests/connectors/aws/", "tests/connectors/twilio/"

LIBRARY = (
    Removal(
        "the token of a launch",
        _AWS + "ec2/launching.py",
        '"ClientToken": key,',
        '"ClientToken": __import__("uuid").uuid4().hex,',
        _AWS_TESTS + "test_effectively_once.py",
    ),
    Removal(
        "the look-up of an address",
        _AWS + "ec2/addresses.py",
        "    if found:\n        return AllocateAddressResult(",
        "    if ():\n        return AllocateAddressResult(",
        _AWS_TESTS + "test_effectively_once.py",
    ),
    Removal(
        "no object in the place of another",
        _AWS + "s3/conditions.py",
        'return send({"IfNoneMatch": "*"}), False',
        "return send({}), False",
        _AWS_TESTS + "test_s3_objects.py",
    ),
    Removal(
        "botocore's loggers keep payloads to themselves",
        _AWS + "session.py",
        "        quiet_loggers()\n",
        "",
        _AWS_TESTS + "test_client.py " + _AWS_TESTS + "test_secrets_storage.py",
    ),
    Removal(
        "a key is bound to its parameters",
        _CORE + "effects.py",
        "    digest.update(_encode(parameters))\n",
        "",
        "tests/connectors/core/test_effects.py",
    ),
    Removal(
        "a redirect leaves credentials behind",
        _CORE + "transport.py",
        "            _leave_behind(onward, call)\n",
        "",
        _HTTP_TESTS
        + "test_http_errors.py "
        + _HTTP_TESTS
        + "test_http_request.py "
        + _HTTP_TESTS
        + "test_http_connection.py",
    ),
    Removal(
        "every address is judged, of redirects too",
        _CORE + "transport.py",
        "addresses = check_addresses(host, found, allow_private=route.allow_private, allow_hosts=route.allow_hosts)",
        'addresses = check_addresses(host, found, allow_private=True, allow_hosts=("0.0.0.0/0", "::/0"))',
        _HTTP_TESTS + "test_http_guard.py",
    ),
    Removal(
        "the judged address is the one that is connected to",
        _CORE + "transport.py",
        "last = str(addresses[-1])",
        "last = host",
        _HTTP_TESTS + "test_http_guard.py",
    ),
    Removal(
        "the redactor on HTTP's own loggers",
        _CORE + "transport.py",
        "            logger.addFilter(redactor)\n",
        "            pass\n",
        _HTTP_TESTS + "test_http_secrets.py",
    ),
    Removal(
        "one refresh at a time",
        _CORE + "tokens.py",
        "            stack.enter_context(store.lock(name))\n",
        "            pass\n",
        "tests/connectors/core/test_tokens.py",
    ),
    Removal(
        "the signature of a link",
        _CORE + "webhooks/links.py",
        "        if not right:\n",
        "        if ():\n",
        "tests/connectors/core/test_links.py",
    ),
    Removal(
        "a link is good once",
        _CORE + "webhooks/inbox.py",
        'return "other" if row[0] != delivery.digest else "raised" if row[1] else "waiting"',
        'return "waiting"',
        "tests/connectors/core/test_inbox.py tests/connectors/core/test_links.py",
    ),
    Removal(
        "the signature of a webhook",
        _TWILIO + "webhooks.py",
        "    if not right:\n",
        "    if ():\n",
        _TWILIO_TESTS + "test_twilio_webhooks.py",
    ),
    Removal(
        "a lost message is looked for",
        _TWILIO + "once.py",
        "    alike = send.look(entry.since)\n",
        "    alike = []\n",
        _TWILIO_TESTS + "test_twilio_once.py",
    ),
    Removal(
        "what one call adopted no other adopts",
        _TWILIO + "ledger.py",
        "select 1 from sends where sid = ? and key <> ?",
        "select 1 from sends where sid = ? and key <> ? and 0",
        _TWILIO_TESTS + "test_twilio_once.py",
    ),
    Removal(
        "an opt-out is told apart",
        _TWILIO + "errors.py",
        "    Kind.OPTED_OUT: OptedOut,\n",
        "    Kind.OPTED_OUT: Permanent,\n",
        _TWILIO_TESTS + "test_twilio_errors.py",
    ),
    Removal(
        "an undo is registered before its call",
        "suborchestrations/steps.py",
        "            self._saga.compensate(self._undo, name, undo)\n",
        "",
        "tests/suborchestrations/test_steps.py",
    ),
    Removal(
        "only what this run made is removed",
        "suborchestrations/ec2/removing.py",
        "    if found.tags.get(RUN_TAG) == run.tag:\n",
        "    if True:\n",
        "tests/suborchestrations/ec2/test_provision.py",
    ),
)
