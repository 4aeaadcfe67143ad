"""The guarantees of the connectors of X, Teams and Facebook, for `tests.sabotage`."""

from tests.removals import Removal

_X, _TEAMS, _FACEBOOK = "connectors/twitter/", "connectors/teams/", "connectors/facebook/"
_X_TESTS, _TEAMS_TESTS, _FACEBOOK_TESTS = (f"tests/connectors/{name}/" for name in ("twitter", "teams", "facebook"))
_ONCE = _X_TESTS + "test_create_post.py"
_CLAIMS = "tests/connectors/core/test_claims.py"

SOCIAL = (
    Removal(
        "X: what another call has is not adopted",
        _X + "timeline.py",
        '        if claims.claim(resource(post["id"]), key):',
        "        if True:",
        _ONCE,
    ),
    Removal(
        "X: what a call made is its own",
        _X + "publishing.py",
        "    claims_of(connection.claims).claim(resource(made), key)\n",
        "",
        _ONCE,
    ),
    Removal(
        "X: after a lost answer it looks before it sends",
        _X + "publishing.py",
        "    if earlier is not None and earlier.open and wanted",
        "    if () and wanted",
        _ONCE,
    ),
    Removal(
        "X: nothing that is older than the call is adopted",
        _X + "timeline.py",
        "            start_time=begun - SKEW,\n",
        "",
        _ONCE,
    ),
    Removal(
        "X: a refusal as a duplicate is looked into",
        _X + "publishing.py",
        "        return _adopt(connection, wanted, note, error)\n",
        "        raise\n",
        _ONCE,
    ),
    Removal("X: a slow timeline is waited for", _X + "publishing.py", "    note.maybe = True\n", "", _ONCE),
    Removal(
        "X: a reply is not mistaken for a post",
        _X + "timeline.py",
        "return replied == wanted.reply_to and ",
        "return ",
        _ONCE,
    ),
    Removal(
        "X: every call has a time-out",
        _X + "client.py",
        '            kwargs["timeout"] = (connection.connect_timeout, connection.read_timeout)\n',
        "",
        _ONCE,
    ),
    Removal(
        "X: no redirect is followed",
        _X + "client.py",
        "    session.max_redirects = 0\n",
        "",
        _X_TESTS + "test_errors.py",
    ),
    Removal(
        "X: tweepy's loggers are redacted",
        _X + "client.py",
        "            logger.addFilter(redactor)\n",
        "            pass\n",
        _X_TESTS + "test_errors.py",
    ),
    Removal(
        "X: a webhook's signature",
        _X + "webhooks.py",
        "    if not compare_digest(",
        "    if () and not compare_digest(",
        _X_TESTS + "test_webhooks.py",
    ),
    Removal(
        "X: a token that was refused is renewed",
        _X + "oauth2.py",
        "force=refused",
        "force=None",
        _X_TESTS + "test_oauth2.py",
    ),
    Removal(
        "Teams: a command's signature",
        _TEAMS + "webhooks.py",
        "    if not compare_digest(",
        "    if () and not compare_digest(",
        _TEAMS_TESTS + "test_webhooks.py",
    ),
    Removal(
        "Teams: a command's age",
        _TEAMS + "webhooks.py",
        "    if sent is None or abs(request.received_at - sent) > WINDOW:",
        "    if ():",
        _TEAMS_TESTS + "test_webhooks.py",
    ),
    Removal(
        "Teams: answers are used up together",
        _TEAMS + "activities.py",
        "            once=key,",
        "            once=key + button.title,",
        _TEAMS_TESTS + "test_messages.py",
    ),
    Removal(
        "Teams: no error says the address",
        _TEAMS + "client.py",
        '        shown=f"https://{urlsplit(address).hostname}/(a webhook)",',
        "        shown=address,",
        _TEAMS_TESTS + "test_errors.py",
    ),
    Removal(
        "Facebook: the version of an answer",
        _FACEBOOK + "client.py",
        "    if served != VERSION:",
        "    if ():",
        _FACEBOOK_TESTS + "test_errors.py",
    ),
    Removal(
        "Facebook: a draft is not public",
        _FACEBOOK + "activities.py",
        '{"published": "false", "message"',
        '{"message"',
        _FACEBOOK_TESTS + "test_posts.py",
    ),
    Removal(
        "Facebook: what another call has is not adopted",
        _FACEBOOK + "comments.py",
        " and claims.claim(_resource(comment.id), key)",
        "",
        _FACEBOOK_TESTS + "test_comments.py",
    ),
    Removal(
        "Facebook: what somebody else wrote is not adopted",
        _FACEBOOK + "comments.py",
        "comment.author_id == page and ",
        "",
        _FACEBOOK_TESTS + "test_comments.py",
    ),
    Removal(
        "Facebook: after a lost answer the comments are searched",
        _FACEBOOK + "comments.py",
        'await _find_own(connection, comment, key, begun) if comment.on_ambiguous == "lookup" else None',
        "None",
        _FACEBOOK_TESTS + "test_comments.py",
    ),
    Removal(
        "Facebook: an old comment is not adopted",
        _FACEBOOK + "comments.py",
        " and comment.created_at >= begun.replace(microsecond=0) - SKEW",
        "",
        _FACEBOOK_TESTS + "test_comments.py",
    ),
    Removal(
        "Facebook: a webhook's signature",
        _FACEBOOK + "webhooks.py",
        "            return is_signed(request)\n",
        "            return None\n",
        _FACEBOOK_TESTS + "test_webhooks.py",
    ),
    Removal(
        "Facebook: who may ask for a challenge",
        _FACEBOOK + "webhooks.py",
        'if request.param("hub.mode") != "subscribe" or not compare_digest(given, expected):',
        "if ():",
        _FACEBOOK_TESTS + "test_webhooks.py",
    ),
    Removal("the kit's claims, in memory", "connectors/core/claims.py", "return owner == key", "return True", _CLAIMS),
    Removal(
        "the kit's claims, in a file", "connectors/core/claims.py", "return bool(stored == key)", "return True", _CLAIMS
    ),
)
