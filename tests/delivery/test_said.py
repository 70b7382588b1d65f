"""What people are told where a verb stops: what is in the way, and that calling it again is safe."""

import subprocess
import sys
from pathlib import Path

import pytest

from delivery import command, git, roots, settings, trust
from flows.errors import InputError

WHO = ("-c", "user.name=A", "-c", "user.email=a@example.com")
BY_NUMBERS = "schema = 1\nrepository_id = 1\nowner_id = 2\n"
BY_KEYS = 'schema = 1\n[[keys]]\nname = "k"\npublic = "p"\n'


def test_the_files_that_are_not_committed_are_named(tmp_path: Path) -> None:
    for words in (["init", "--quiet"], [*WHO, "commit", "--quiet", "--allow-empty", "--message=First"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    for number in range(7):
        (tmp_path / f"file-{number}").touch()
    with pytest.raises(InputError, match=r": \?\? file-0, \?\? file-1, .*, \?\? file-4 and 2 more\n"):
        git.head(tmp_path)


def test_ctrl_c_says_that_a_verb_may_be_called_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(_: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys, "argv", ["verb"])
    assert command.run(stopped) == 130
    assert "interrupted   calling it again is safe; what it had started" in capsys.readouterr().err


def test_a_trust_root_of_the_other_kind_says_what_belongs_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = settings.load().environment("local")
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    file = tmp_path / "trust" / "local.toml"
    file.parent.mkdir()
    file.write_text(BY_NUMBERS)
    with pytest.raises(InputError, match=r"^trust/local.toml: (.|\n)* mend: .*\[\[keys\]\], each with"):
        trust.read(local)
    file.write_text(BY_KEYS)
    with pytest.raises(InputError, match=r"^trust/local.toml: (.|\n)* mend: .*repository_id and owner"):
        roots.repository(local)
