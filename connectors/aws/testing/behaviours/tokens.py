"""Client tokens, remembered: the same token gives the same result, with other parameters it is refused.

Scopes are EC2's: a region, and for RunInstances a zone when the request names one, itself or by its subnet. Source: "Ensuring idempotency in
Amazon EC2 API requests". Other services: the region. Deduplication ids of FIFO queues and topics are remembered for five minutes, DynamoDB's
tokens for ten.
"""

import json
import re
from dataclasses import dataclass
from uuid import uuid4

from connectors.aws.testing.answers import Answer, error
from connectors.aws.testing.behaviours import Behaviour
from connectors.aws.testing.launch import zone_asked
from connectors.aws.testing.wire import Request

_NAMES = ("ClientToken", "ClientRequestToken", "clientToken", "IdempotencyToken")
_DEDUPLICATED = {"sqs:SendMessage": "QueueUrl", "sns:Publish": "TopicArn"}
_LASTS = {"sqs": 300.0, "sns": 300.0, "dynamodb": 600.0}  # seconds; for the rest, as long as the account
_REQUEST_ID = re.compile(r"(<requestId>)[^<]*(</requestId>)")
_INSTANCE = re.compile(r"<instanceId>(i-[^<]+)</instanceId>")


@dataclass(frozen=True)
class _Done:
    parameters: str
    answer: Answer
    until: float


class Tokens(Behaviour):
    def reset(self) -> None:
        self._done: dict[tuple[str, ...], _Done] = {}

    def before(self, request: Request) -> Answer | None:
        scope = self._scope(request)
        done = self._done.get(scope) if scope else None
        if done is None or done.until <= self.world.now():
            return None
        if request.name in _DEDUPLICATED:
            return _again(done.answer)
        if done.parameters != _parameters(request):
            code = "IdempotentParameterMismatch" + ("" if request.protocol in ("ec2", "query") else "Exception")
            text = "Arguments on this idempotent request are inconsistent with arguments used in previous request(s)."
            return error(request, code, text)
        if request.name == "ec2:RunInstances":
            states = [self._state(request, one) for one in _INSTANCE.findall(done.answer.text)]
            if states and all(state in ("terminated", "shutting-down") for state in states):
                text = "The client token belongs to an earlier request, whose instances have been terminated."
                return error(request, "IdempotentInstanceTerminated", text)
        return _again(done.answer)

    def after(self, request: Request, answer: Answer) -> Answer:
        scope = self._scope(request)
        if scope and answer.ok:
            until = self.world.now() + _LASTS.get(request.service, float("inf"))
            self._done[scope] = _Done(_parameters(request), answer, until)
        return answer

    def _scope(self, request: Request) -> tuple[str, ...]:
        if request.name in _DEDUPLICATED:
            where, mark = request.text(_DEDUPLICATED[request.name]), request.text("MessageDeduplicationId")
            return (request.name, request.region, where, mark) if mark else ()
        token = next((text for name in _NAMES if (text := request.text(name))), "")
        if not token:
            return ()
        zone = zone_asked(request, self.world) if request.name == "ec2:RunInstances" else ""
        return request.service, request.region, zone, request.operation, token

    def _state(self, request: Request, instance_id: str) -> str:
        found = self.world.instance(request.region, instance_id)
        return "terminated" if found is None else str(found.state)


def _parameters(request: Request) -> str:
    kept = {name: value for name, value in request.parameters.items() if name not in _NAMES}
    return json.dumps(kept, sort_keys=True)


def _again(answer: Answer) -> Answer:
    """The same result of a request with an id of its own."""
    new = str(uuid4())
    headers = tuple((name, new if name.lower() == "x-amzn-requestid" else value) for name, value in answer.headers)
    return Answer(answer.status, headers, _REQUEST_ID.sub(rf"\g<1>{new}\2", answer.text).encode())
