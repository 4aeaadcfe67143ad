"""The activities of the X connector. They run in worker threads, since tweepy blocks."""

from datetime import datetime
from typing import Any

from connectors.core import DEFAULT_RETRY, Effect, NotFound, declare, resolve
from connectors.twitter.client import call
from connectors.twitter.credentials import TwitterConnection
from connectors.twitter.models import (
    Account,
    CreatePost,
    Deleted,
    Found,
    Me,
    Post,
    Posted,
    PostId,
    Reply,
    Search,
)
from connectors.twitter.publishing import publish
from dtf_runtime import activity

_ADOPTS = "the own timeline is searched for the text since the call began; X refuses a text that is there already"
_FIELDS = ["created_at", "author_id", "referenced_tweets"]


@declare(Effect.LOOKUP, _ADOPTS, permissions=("tweet.read", "tweet.write", "users.read"))
@activity(name="twitter.create_post", retry=DEFAULT_RETRY)
def create_post(post: CreatePost) -> Posted:
    """Posts a text, with media or as a reply. Costs $0.015, with a link $0.20; a look-up $0.005 for each post it reads.

    Raises `AlreadyExists` when X refuses the text since another call, or somebody, posted it; `Throttled` until X's own reset time; else as in
    the table of errors.
    """
    return publish(post)


@declare(Effect.LOOKUP, _ADOPTS, permissions=("tweet.read", "tweet.write", "users.read"))
@activity(name="twitter.reply", retry=DEFAULT_RETRY)
def reply(answer: Reply) -> Posted:
    """Answers a post. Cost and errors as `create_post`; NotFound when the post is gone."""
    return publish(
        CreatePost(
            text=answer.text,
            reply_to=answer.to,
            media_ids=answer.media_ids,
            begun=answer.begun,
            on_ambiguous=answer.on_ambiguous,
            connection=answer.connection,
        )
    )


@declare(Effect.NATURAL, "a post that is gone stays gone", permissions=("tweet.read", "tweet.write", "users.read"))
@activity(name="twitter.delete_post", retry=DEFAULT_RETRY)
def delete_post(post: PostId) -> Deleted:
    """Deletes a post of the own account; one that is gone already is a success. Costs $0.010."""
    connection = resolve(TwitterConnection, post.connection)
    try:
        answer = call(connection, "delete_tweet", post.id, repeatable=True)
    except NotFound as error:
        return Deleted(id=post.id, existed=False, request_id=error.request_id)
    return Deleted(id=post.id, existed=bool(answer.get("data", {}).get("deleted")))


@declare(Effect.READ, permissions=("tweet.read", "users.read"))
@activity(name="twitter.get_post", retry=DEFAULT_RETRY)
def get_post(post: PostId) -> Post:
    """One post. Costs $0.005. Raises NotFound."""
    connection = resolve(TwitterConnection, post.connection)
    answer = call(connection, "get_tweet", post.id, tweet_fields=_FIELDS, repeatable=True)
    if "data" not in answer:  # X answers 200 with a list of problems
        raise NotFound(f"X get_tweet: there is no post {post.id}", code="resource-not-found", status=200)
    return _post(answer["data"])


@declare(Effect.READ, permissions=("tweet.read", "users.read"))
@activity(name="twitter.me", retry=DEFAULT_RETRY)
def me(account: Me) -> Account:
    """Whose credentials these are. Costs $0.010."""
    connection = resolve(TwitterConnection, account.connection)
    found = call(connection, "get_me", repeatable=True)["data"]
    return Account(id=found["id"], name=found["name"], username=found["username"])


@declare(Effect.READ, permissions=("tweet.read", "users.read"))
@activity(name="twitter.search", retry=DEFAULT_RETRY)
def search(wanted: Search) -> Found:
    """One page of posts of the last seven days, newest first. Costs $0.005 for each post that comes back."""
    connection = resolve(TwitterConnection, wanted.connection)
    answer = call(
        connection,
        "search_recent_tweets",
        wanted.query,
        max_results=wanted.most,
        since_id=wanted.since_id,
        next_token=wanted.page,
        tweet_fields=_FIELDS,
        repeatable=True,
    )
    posts = tuple(_post(post) for post in answer.get("data", ()))
    return Found(posts=posts, next_page=answer.get("meta", {}).get("next_token"))


def _post(told: dict[str, Any]) -> Post:
    replied = next((r["id"] for r in told.get("referenced_tweets", ()) if r.get("type") == "replied_to"), None)
    created = told.get("created_at")
    return Post(
        id=told["id"],
        text=told["text"],
        author_id=told.get("author_id", ""),
        created_at=datetime.fromisoformat(created) if created else None,
        reply_to=replied,
    )
