"""A request: its body is checked by a model's form while it is read, up to the first wrong value."""

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from flows.contract import Form
from flows.errors import InputError

INDEX = re.compile(r"instances\[(\d+)\]")
BYTE = re.compile(r"\(byte (\d+)\)")
NO_NUMBER = re.compile(rb"NaN|Infinity")
TOO_LARGE = b"1e999"  # JSON; whatever is expected, unless a Decimal, it is refused with its place
WHERE = re.compile(r" - at `\$\.?(?P<where>[^`]*)`\Z")
DEEP = "it is nested too deeply"
LONG = re.compile(r'("[^"\\]{24})[^"\\]{16,}"')  # a text in JSON, an image in base64 for example
MOST = 240  # characters of an example in a message


class Loose(msgspec.Struct):
    """A request whose instances may be anything."""

    instances: list[Any]


@dataclass(frozen=True)
class Question:
    """What a model is asked; `size` is that of the body, in bytes."""

    instances: list[Any]
    parameters: Any
    size: int


class Reader:
    """Reads `{"instances": […], "parameters": {…}}` for one model."""

    def __init__(self, form: Form) -> None:
        instances = Annotated[
            list[form.instance],  # type: ignore[name-defined]
            Meta(min_length=1, max_length=form.most),
        ]
        fields: list[Any] = [("instances", instances), ("parameters", form.parameters | None, None)]
        self._decoder = msgspec.json.Decoder(
            msgspec.defstruct("Request", fields, forbid_unknown_fields=True)
        )
        self._usual, self._form = form.parameters(), form

    def read(self, body: bytes) -> Question:
        """Raises InputError that names the instance, by its index, and what was expected."""
        try:
            asked: Any = self._decoder.decode(body)
        except msgspec.ValidationError as error:
            words, where = _parts(str(error))
            self._check_before(where, body)
            raise self._refused(words, where) from None
        except msgspec.DecodeError as error:
            self._check_numbers(str(error), body)
            reason = str(error).removeprefix("JSON is malformed: ")
            raise InputError(f"the request is not valid JSON: {reason}", self._looks("")) from None
        except (RecursionError, UnicodeDecodeError) as error:
            reason = DEEP if isinstance(error, RecursionError) else "it is not UTF-8"
            raise InputError(f"the request is not valid JSON: {reason}", self._looks("")) from None
        if self._form.check:
            self._form.check(asked.instances)
        return Question(asked.instances, asked.parameters or self._usual, len(body))

    def _check_before(self, where: str, body: bytes) -> None:
        """Raises InputError for an instance that stands before `where`, and is wrong, too."""
        found = INDEX.match(where)
        if not (found and self._form.check):
            return
        with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            before = msgspec.json.decode(body, type=Loose).instances[: int(found[1])]
            self._form.check(msgspec.convert(before, list[self._form.instance]))  # type: ignore[name-defined]

    def _check_numbers(self, message: str, body: bytes) -> None:
        """Raises InputError with the place of what some programs write for numbers, and JSON has not."""
        at = BYTE.search(message)
        found = NO_NUMBER.match(body, int(at[1])) if at else None
        if not found:
            return
        before = body[: found.start()].removesuffix(b"-")
        with suppress(msgspec.DecodeError):
            try:  # nothing follows, so that no other place can be named
                self._decoder.decode(before + TOO_LARGE)
            except msgspec.ValidationError as error:
                where = _parts(str(error))[1]
                self._check_before(where, before + b"0" + body[found.end() :])
                raise self._refused(f"not JSON: {found[0].decode()}", where) from None

    def _refused(self, words: str, where: str) -> InputError:
        words = shortened(words[0].lower() + words[1:])  # an unknown field is named, however long it is
        return InputError(f"{where or 'the request'}: {words}", self._looks(where))

    def _looks(self, where: str) -> str:
        """What was meant to stand there."""
        if where.startswith("parameters"):
            known = [field.encode_name for field in msgspec.structs.fields(self._form.parameters)]
            return f"known parameters: {', '.join(known) or 'none'}"
        example = shortened(msgspec.json.encode(self._form.example).decode())
        if where.startswith("instances["):
            return f"an instance looks like {example}"
        return f'a request looks like {{"instances": [{example}]}}'


def shortened(text: str) -> str:
    """A part of a message: long texts in quotes are cut, and then the whole."""
    text = LONG.sub(r'\1…"', text)
    return text if len(text) <= MOST else f"{text[:MOST]}…"


def _parts(message: str) -> tuple[str, str]:
    """What msgspec says that is wrong, and where."""
    found = WHERE.search(message)
    words = WHERE.sub("", message).replace("`", "").removeprefix("Object ")
    return words, found["where"] if found else ""
