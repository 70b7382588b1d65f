from types import SimpleNamespace
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import secretmanager_v1

from flows import google_identity, secrets
from flows.errors import InputError, RetrainError

GOOD = b'{"aws_access_key_id": "AKIA", "aws_secret_access_key": "hush"}'


def answering(monkeypatch: pytest.MonkeyPatch, answer: bytes | Exception) -> None:
    def access(_: object, name: str, timeout: float) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(name=name.replace("latest", "7"), payload=SimpleNamespace(data=answer))

    client = type(
        "Client", (), {"__init__": lambda *_, credentials: None, "access_secret_version": access}
    )
    monkeypatch.setattr(google_identity, "credentials", lambda: None)
    monkeypatch.setattr(secretmanager_v1, "SecretManagerServiceClient", client)
    monkeypatch.setattr(secrets, "account", lambda: "steps@p.iam")


def test_payload_and_version_number(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, GOOD)
    keys, number = secrets.access("p", "s", secrets.S3Keys)
    assert (keys.aws_secret_access_key, number) == ("hush", 7)
    assert "hush" not in repr(keys) + str(keys)


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (exceptions.NotFound("x"), InputError, "there is no such secret"),
        (exceptions.PermissionDenied("x"), RetrainError, "steps@p.iam may not read it"),
        (exceptions.FailedPrecondition("x"), InputError, "disabled or destroyed"),
        (exceptions.Unknown("x"), RetrainError, "x"),
    ],
)
def test_each_refusal_is_explained(
    monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[Exception], words: str
) -> None:
    answering(monkeypatch, error)
    with pytest.raises(kind, match=f"projects/p/secrets/s.*{words}"):
        secrets.access("p", "s", secrets.S3Keys)


@pytest.mark.parametrize(
    "payload", [b"hush", b"[]", b'{"aws_access_key_id": "hush"}', GOOD[:-1] + b', "hush": 1}']
)
def test_a_wrong_payload_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, payload: bytes
) -> None:
    answering(monkeypatch, payload)
    with pytest.raises(InputError, match="exactly aws_access_key_id, aws_secret_access_key") as caught:
        secrets.access("p", "s", secrets.S3Keys)
    assert "hush" not in str(caught.value)
