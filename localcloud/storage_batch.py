"""Batches: many calls of the JSON API in one multipart body, each answered in a part of its own."""

from collections.abc import Iterator
from email.message import Message
from email.parser import BytesParser
from urllib.parse import urlsplit

from localcloud.http import Handler, Query, Request, Response

BOUNDARY = "batch_localcloud"


def answer(request: Request, handler: Handler) -> Response:
    """Each part's answer, in order; a part's failure is its own."""
    parts = [_part(one, handler(_request(request, one))) for one in _parts(request)]
    body = b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
    return Response(body, headers={"content-type": f"multipart/mixed; boundary={BOUNDARY}"})


def _parts(request: Request) -> Iterator[Message]:
    head = f"content-type: {request.headers.get('content-type', '')}\r\n\r\n".encode()
    whole = BytesParser().parsebytes(head + request.body)
    yield from (part for part in whole.get_payload() if isinstance(part, Message))


def _request(outer: Request, part: Message) -> Request:
    """The call that a part holds; it speaks with the credentials of the whole."""
    payload = part.get_payload(decode=True)
    line, _, rest = (payload if isinstance(payload, bytes) else b"").lstrip().partition(b"\n")
    head, _, body = rest.replace(b"\r\n", b"\n").partition(b"\n\n")
    method, target, *_ = line.decode().split()
    url = urlsplit(target)
    pairs = (one.partition(":") for one in head.decode().splitlines())
    own = {name.strip().lower(): value.strip() for name, _, value in pairs}
    query = Query.parse(url.query)
    headers = {"authorization": outer.headers.get("authorization", ""), **own}
    return Request(method, outer.host, url.path, query, headers, body.strip(), outer.caller)


def _part(part: Message, response: Response) -> bytes:
    content = response.encoded()
    name = str(part.get("Content-ID", "")).strip("<>")
    lines = [
        f"--{BOUNDARY}",
        "Content-Type: application/http",
        f"Content-ID: <response-{name}>",
        "",
        f"HTTP/1.1 {response.status} {'OK' if response.status < 300 else 'Error'}",
        *(f"{key}: {value}" for key, value in response.all_headers().items()),
        f"Content-Length: {len(content)}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + content + b"\r\n"
