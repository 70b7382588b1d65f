"""A request: its body is checked by a model's form while it is read, up to the first wrong value."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from flows.contract import Form
from flows.errors import InputError

WHERE = re.compile(r" - at `\$\.?(?P<where>[^`]*)`\Z")
DEEP = "it is nested too deeply"


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
            raise self._refused(str(error)) from None
        except msgspec.DecodeError as error:
            reason = str(error).removeprefix("JSON is malformed: ")
            raise InputError(f"the request is not valid JSON: {reason}", self._looks("")) from None
        except (RecursionError, UnicodeDecodeError) as error:
            reason = DEEP if isinstance(error, RecursionError) else "it is not UTF-8"
            raise InputError(f"the request is not valid JSON: {reason}", self._looks("")) from None
        if self._form.check:
            self._form.check(asked.instances)
        return Question(asked.instances, asked.parameters or self._usual, len(body))

    def _refused(self, message: str) -> InputError:
        found = WHERE.search(message)
        where = found["where"] if found else ""
        words = WHERE.sub("", message).replace("`", "").removeprefix("Object ")
        return InputError(f"{where or 'the request'}: {words[0].lower()}{words[1:]}", self._looks(where))

    def _looks(self, where: str) -> str:
        """What was meant to stand there."""
        if where.startswith("parameters"):
            known = [field.encode_name for field in msgspec.structs.fields(self._form.parameters)]
            return f"known parameters: {', '.join(known) or 'none'}"
        example = msgspec.json.encode(self._form.example).decode()
        if where.startswith("instances["):
            return f"an instance looks like {example}"
        return f'a request looks like {{"instances": [{example}]}}'
