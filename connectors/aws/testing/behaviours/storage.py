"""S3's care for objects: a body with another checksum than its header says is refused, a copy keeps its condition, a new bucket has its tags,
parts are listed by their numbers.

Source: S3 API reference, CreateBucket, CopyObject, PutObject; "Checking object integrity".
"""

import base64
import hashlib
import re
from html import unescape
from typing import Any

from connectors.aws.testing.answers import Answer, error
from connectors.aws.testing.behaviours import Behaviour
from connectors.aws.testing.wire import Request
from connectors.aws.testing.world import ACCOUNT

_TAG = re.compile(r"<Key>(.*?)</Key>\s*<Value>(.*?)</Value>", re.DOTALL)
_BODIES = frozenset({"s3:PutObject", "s3:UploadPart"})


class Storage(Behaviour):
    def before(self, request: Request) -> Answer | None:
        if request.name == "s3:ListParts":
            _teach()
        if request.name in _BODIES:
            said = request.headers.get("x-amz-checksum-sha256")
            plain = "aws-chunked" not in request.headers.get("content-encoding", "")
            if said and plain and said != base64.b64encode(hashlib.sha256(request.body).digest()).decode():
                text = "The SHA256 you specified did not match the calculated checksum."
                return error(request, "BadDigest", text)
        if request.name == "s3:CopyObject" and request.headers.get("if-none-match") == "*" and self._is_there(request):
            text = "At least one of the pre-conditions you specified did not hold"
            return error(request, "PreconditionFailed", text, status=412)
        return None

    def after(self, request: Request, answer: Answer) -> Answer:
        if request.name == "s3:CreateBucket" and answer.ok:
            tags = {unescape(name): unescape(value) for name, value in _TAG.findall(request.body.decode())}
            if tags:
                _backend().put_bucket_tagging(request.text("Bucket"), tags)
        return answer

    def _is_there(self, request: Request) -> bool:
        bucket = _backend().buckets.get(request.text("Bucket"))
        return bucket is not None and request.text("Key") in bucket.keys


def _backend() -> Any:
    from moto.s3.models import s3_backends

    return s3_backends[ACCOUNT]["aws"]


def _teach() -> None:
    """A part-number-marker is the number of a part: moto counts the parts that came. Done once, and harmless when done again."""
    from moto.s3.models import FakeMultipart, S3Backend

    def list_parts(self: Any, part_number_marker: int, max_parts: int) -> Any:
        behind = sorted(number for number in self.parts if number > part_number_marker)
        return (self.parts[number] for number in behind[:max_parts])

    def is_truncated(self: Any, bucket_name: str, multipart_id: str, next_part_number_marker: int) -> bool:
        parts = self.get_bucket(bucket_name).multiparts[multipart_id].parts
        return any(number > int(next_part_number_marker) for number in parts)

    setattr(FakeMultipart, "list_parts", list_parts)  # noqa: B010
    setattr(S3Backend, "is_truncated", is_truncated)  # noqa: B010
