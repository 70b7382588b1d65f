"""`laptop.inside`: which calls of a verb enter the local cloud first."""

from types import SimpleNamespace

import pytest

from delivery import ab, deploy
from laptop import inside, report

PORT = 8443
BY_DEFAULT = ["delivery.deploy", "--plan"]


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done, in its order; a local cloud runs, and this process is no client of it."""
    seen = list[str]()

    def main(_: list[str]) -> int:
        seen.append("verb")
        return 0

    for name in ("HTTPS_PROXY", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(inside, "client", lambda: SimpleNamespace(status=lambda: {"port": PORT}))
    monkeypatch.setattr(inside, "enter", lambda: seen.append("enter"))
    monkeypatch.setattr(
        report, "standing", lambda flow, branch: 3 if branch == f"rollout/local/{flow}" else 0
    )
    for verb in (deploy, ab):
        monkeypatch.setattr(verb, "main", main)
    return seen


@pytest.mark.parametrize(
    "argv", [BY_DEFAULT, ["delivery.deploy", "--env", "local"], ["delivery.ab", "linnerud", "50"]]
)
def test_a_verb_for_local_enters_the_local_cloud(argv: list[str], done: list[str]) -> None:
    assert inside.main(argv) == 0
    assert done == ["enter", "verb"]


def test_what_is_elsewhere_or_asks_nobody_does_not(
    done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    inside.main(["delivery.deploy", "--check"])
    monkeypatch.setattr(inside, "ENVIRONMENT", "another")
    inside.main(BY_DEFAULT)
    assert done == ["verb", "verb"]


def test_who_is_in_the_local_cloud_stays_whom_it_takes_them_for(
    done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://run-7:x@127.0.0.1:{PORT}")
    inside.main(BY_DEFAULT)
    monkeypatch.setenv("HTTPS_PROXY", f"http://owner:x@127.0.0.1:{PORT + 1}")  # one that has ended since
    inside.main(BY_DEFAULT)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    inside.main(BY_DEFAULT)
    assert done == ["verb", "enter", "verb", "verb"]


def test_an_edit_s_pull_request_is_read_and_merged_by_local_commands(
    done: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    inside.main(["delivery.ab", "linnerud", "50", "--dry-run"])
    assert capsys.readouterr().err == ""
    inside.main(["delivery.ab", "linnerud", "50"])
    assert done == ["enter", "verb"] * 2
    said = "look          ./scripts/localcloud pr 3 · merge it: ./scripts/localcloud merge 3\n"
    assert capsys.readouterr().err == said
