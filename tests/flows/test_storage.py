import json
from pathlib import Path

import google.auth
import pytest
import trustme
from google.auth.credentials import AnonymousCredentials
from google.auth.transport.requests import _MutualTlsAdapter

from flows import storage
from flows.errors import InputError, RetrainError
from flows.manifest import File
from flows.storage import Address


def test_an_address_is_read_and_written() -> None:
    address = Address.parse("gs://bucket/a/b/", "gs")
    assert (address.bucket, address.key, str(address / "c")) == ("bucket", "a/b", "gs://bucket/a/b/c")
    assert str(Address.parse("s3://bucket", "s3") / "c") == "s3://bucket/c"


@pytest.mark.parametrize(
    "text",
    ["", "bucket/a", "s3://bucket/a", "gs://", "gs://b/../a", "gs://buck et/a", "gs://bucket/a//b"],
)
def test_a_wrong_address_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not an address"):
        Address.parse(text, "gs")


def test_a_changed_file_is_named() -> None:
    one, other = File(sha256="a" * 64, bytes=1), File(sha256="b" * 64, bytes=1)
    storage.verify({"m": one}, {"m": one}, "gs://b")
    for found in ({"m": other}, {}, {"m": one, "n": one}):
        with pytest.raises(RetrainError, match=r"gs://b/[mn]: it is"):
            storage.verify(found, {"m": one}, "gs://b")


def test_a_client_s_certificate_stays_with_its_adapter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = trustme.CA().issue_cert("client.example.com")
    own.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    own.private_key_pem.write_to_path(tmp_path / "key.pem")
    paths = {f"{name}_path": str(tmp_path / f"{name}.pem") for name in ("cert", "key")}
    (tmp_path / "config.json").write_text(json.dumps({"cert_configs": {"workload": paths}}))
    monkeypatch.setenv("GOOGLE_API_CERTIFICATE_CONFIG", str(tmp_path / "config.json"))
    monkeypatch.setattr(google.auth, "default", lambda **_: (AnonymousCredentials(), None))
    monkeypatch.setenv("GOOGLE_API_USE_CLIENT_CERTIFICATE", "true")
    client = storage.gs_client.__wrapped__()
    assert isinstance(client._http.get_adapter("https://"), _MutualTlsAdapter)
