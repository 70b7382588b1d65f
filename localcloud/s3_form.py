"""A form that is posted to S3: its fields as S3 reads them, and written so that moto reads the same."""

from collections.abc import Iterator
from dataclasses import replace
from email.message import Message
from email.parser import BytesParser
from typing import NamedTuple

from localcloud.aws_errors import refusal
from localcloud.http import Request

FILE = "file"  # the last field that counts


class Part(NamedTuple):
    """One field of a form; `filename` is "" where none is given."""

    name: str
    filename: str
    content_type: str
    content: bytes


def is_form(request: Request) -> bool:
    """Whether the request sends a form with a file."""
    sent = request.headers.get("content-type", "")
    return request.method == "POST" and sent.startswith("multipart/form-data")


def fields(request: Request) -> dict[str, str]:
    """The fields before the file, their names in lower case. Raises MalformedPOSTRequest."""
    parts = _parts(request)
    filename = next((one.filename for one in parts if one.name == FILE), "")
    found: dict[str, str] = {}
    for one in parts:
        if one.name in found:
            raise refusal("InvalidArgument", f"The form has more than one field '{one.name}'.")
        if one.name != FILE:
            found[one.name] = one.content.decode("utf-8", "replace")
    if "key" in found:
        found["key"] = found["key"].replace("${filename}", filename)
    return found


def plain(request: Request) -> Request:
    """The same form, whatever its sender made of it: fields as such, and one file as its end."""
    file = next((one for one in _parts(request) if one.name == FILE), None)
    if file is None:
        raise refusal("InvalidArgument", "POST requires exactly one file upload per request.")
    boundary = _boundary(request)
    lines = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields(request).items()
    ]
    lines += [f'--{boundary}\r\nContent-Disposition: form-data; name="{FILE}"; filename="{FILE}"\r\n']
    lines += [f"Content-Type: {file.content_type}\r\n\r\n"]
    body = "".join(lines).encode() + file.content + f"\r\n--{boundary}--\r\n".encode()
    return replace(request, body=body)


def _boundary(request: Request) -> str:
    header = Message()
    header["content-type"] = request.headers.get("content-type", "")
    found = header.get_boundary()
    if not found:
        raise refusal("MalformedPOSTRequest", "The form's content type has no boundary.")
    return found


def _parts(request: Request) -> list[Part]:
    """The fields up to the file; what follows it does not count."""
    found = []
    for one in _all(request.body, _boundary(request).encode()):
        found.append(one)
        if one.name == FILE:
            break
    return found


def _all(body: bytes, boundary: bytes) -> Iterator[Part]:
    for piece in (b"\r\n" + body).split(b"\r\n--" + boundary)[1:]:
        head, gap, content = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        if piece.startswith(b"--"):
            return
        message = BytesParser().parsebytes(head + b"\r\n\r\n")
        name = message.get_param("name", header="content-disposition")
        if not gap or not isinstance(name, str):
            words = "The body of your POST request is not well-formed multipart/form-data."
            raise refusal("MalformedPOSTRequest", words)
        kind = message.get_content_type() if "content-type" in message else "binary/octet-stream"
        yield Part(name.lower(), message.get_filename() or "", kind, content)
