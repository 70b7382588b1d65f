"""Errors with a file's line are shown beside it in the pull request."""

import pytest

from delivery import annotation
from flows.errors import InputError

ERROR = InputError("releases/local/recommender.toml:5: the traffic is 110 %", "make its sum 100")


def test_a_line_is_shown_where_github_listens(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    annotation.show(ERROR)
    annotation.show(InputError("releases/notes.md: take it out"))
    place = "::error file=releases/local/recommender.toml,line=5::"
    assert capsys.readouterr().out == f"{place}the traffic is 110 %25%0A  mend: make its sum 100\n"
    monkeypatch.delenv("GITHUB_ACTIONS")
    annotation.show(ERROR)
    assert capsys.readouterr().out == ""
