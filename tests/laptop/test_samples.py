"""What a flow's sample puts to Cloud Storage: once, and again where the sample was changed."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from google.cloud import storage

from flows import config
from laptop import grant, localcloud, provision, samples


class Bucket:
    """A bucket that is there: its objects, and each write."""

    def __init__(self) -> None:
        self.objects, self.written = dict[str, bytes](), list[str]()

    def blob(self, name: str) -> Any:
        def put(content: bytes, **_: Any) -> None:
            self.objects[name] = content
            self.written.append(name)

        return SimpleNamespace(exists=lambda **_: name in self.objects, upload_from_string=put)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Bucket:
    made = Bucket()
    client = SimpleNamespace(lookup_bucket=lambda *_, **__: made)
    monkeypatch.setattr(storage, "Client", lambda **_: client)
    monkeypatch.setattr(samples, "here", list)
    monkeypatch.setattr(grant, "bucket", lambda *_: None)
    return made


def filled(bucket: Bucket, *objects: tuple[str, bytes]) -> list[str]:
    """The names that were written, without the mark's; one by one, in no order."""
    bucket.written.clear()
    environment: Any = SimpleNamespace(project="p", region="r")
    samples._fill(environment, "images", "vit", lambda: objects)
    if bucket.written:
        assert bucket.written[-1].startswith("vit-")
        assert bucket.written[-1].endswith(samples.DONE)
    return sorted(bucket.written[:-1])


def test_objects_are_put_once_and_again_where_they_changed(bucket: Bucket) -> None:
    first, second = ("1.png", b"one"), ("2.png", b"two")
    assert filled(bucket, first, second) == ["1.png", "2.png"]
    assert filled(bucket, first, second) == []
    assert filled(bucket, first, ("2.png", b"another")) == ["1.png", "2.png"]
    assert bucket.objects["2.png"] == b"another"
    assert filled(bucket, first) == ["1.png"]
    assert filled(bucket, ("3.png", b"one")) == ["3.png"]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """What `./scripts/localcloud` does, in order; of three flows, one has a schedule."""
    done = list[Any]()

    def command(argv: list[str]) -> int:
        done.append(argv[-1])
        return 0

    flows = {"clock": 'schedule = "0 4 * * 1"', "button": "", "broken": "schedule = ["}
    for name, text in flows.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "flow.toml").write_text(text)
    monkeypatch.setattr(config, "FLOWS", tmp_path)
    monkeypatch.setattr(config, "names", lambda: list(flows))
    monkeypatch.setattr(provision, "enter", lambda: done.append("enter"))
    monkeypatch.setattr(samples, "needed", lambda names: done.append(list(names)))
    monkeypatch.setattr("localcloud.__main__.main", command)
    return done


def test_before_a_tick_the_samples_of_scheduled_flows_are_there(told: list[Any]) -> None:
    assert localcloud.main(["tick"]) == 0
    assert told == ["enter", ["clock"], "tick"]


def test_nothing_is_put_there_for_another_command(told: list[Any]) -> None:
    localcloud.main(["down"])
    assert told == ["down"]


@pytest.mark.parametrize(("option", "code"), [("--help", 0), ("--nonsense", 2)])
def test_nothing_is_put_there_for_a_tick_that_is_none(told: list[Any], option: str, code: int) -> None:
    with pytest.raises(SystemExit) as ended:
        localcloud.main(["tick", option])
    assert (ended.value.code, told) == (code, [])
