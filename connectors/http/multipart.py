"""multipart/form-data (RFC 7578). The same parts give the same bytes, boundary included, so that a repeat is a repeat to the server too."""

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

from connectors.core import InvalidRequest
from connectors.http.models import Part


def encode(parts: Sequence[Part]) -> tuple[str, bytes]:
    """Content-Type and body. Reads files. Raises InvalidRequest."""
    sections = [(_head(part), _content(part)) for part in parts]
    digest = blake2b(digest_size=16)
    for head, content in sections:
        digest.update(head + b"\0" + content + b"\0")
    boundary = digest.hexdigest()
    body = b"".join(b"--%s\r\n%s\r\n\r\n%s\r\n" % (boundary.encode(), head, content) for head, content in sections)
    return f"multipart/form-data; boundary={boundary}", body + b"--%s--\r\n" % boundary.encode()


def _head(part: Part) -> bytes:
    filename = part.filename if part.filename is not None else Path(part.path).name if part.path is not None else None
    lines = f'Content-Disposition: form-data; name="{_escaped(part.name)}"'
    if filename is not None:
        lines += f'; filename="{_escaped(filename)}"'
    kind = part.content_type or ("text/plain; charset=utf-8" if part.text is not None else "application/octet-stream")
    if not kind.isascii() or not kind.isprintable():
        raise InvalidRequest(f"the content type of part {part.name!r} is not printable ASCII")
    if part.text is None or filename is not None or part.content_type:
        lines += f"\r\nContent-Type: {kind}"
    return lines.encode("utf-8", "replace")


def _content(part: Part) -> bytes:
    if sum(given is not None for given in (part.text, part.data, part.path)) != 1:
        raise InvalidRequest(f"part {part.name!r} must have one of text, data and path")
    if part.text is not None:
        return part.text.encode("utf-8", "surrogatepass")
    if part.data is not None:
        return part.data
    assert part.path is not None
    try:
        return Path(part.path).read_bytes()
    except OSError as error:
        raise InvalidRequest(f"the file of part {part.name!r} can't be read: {type(error).__name__}") from None


def _escaped(text: str) -> str:
    """As browsers do (WHATWG)."""
    return text.replace("\r\n", "%0D%0A").replace("\n", "%0A").replace("\r", "%0D").replace('"', "%22")
