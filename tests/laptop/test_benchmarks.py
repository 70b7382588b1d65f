"""The bench's own parts: contenders that give a wrong answer do not count."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as bench
from benchmarks.measure import Result, Run
from benchmarks.peers import PEERS
from benchmarks.programs.five import expected


def test_the_plain_functions_give_the_expected_answer() -> None:
    folder = PEERS[0].folder()
    try:
        assert PEERS[0].run("7", folder).lines == 1
    finally:
        shutil.rmtree(folder)
    assert expected("7") == "uploaded 26"


def test_a_wrong_answer_does_not_count(tmp_path: Path) -> None:
    wrong = replace(PEERS[0], command=lambda *_: ["-c", "print('uploaded 1')"])
    with pytest.raises(RuntimeError, match="gave no right answer"):
        wrong.run("7", tmp_path)


def test_every_contender_is_pinned() -> None:
    assert all("==" in peer.requirement for peer in PEERS[1:])


def test_ratios_are_to_ours(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def result(seconds: float, name: str) -> Result:
        runs = [Run(seconds, 5)] * 3
        return Result(name, True, runs[0], runs, runs if name == "ours" else [])

    monkeypatch.setattr(bench, "PEERS", PEERS[:2])
    monkeypatch.setattr("benchmarks.imports.costs", list)
    monkeypatch.setattr(bench, "our_result", lambda _: result(0.5, "ours"))
    monkeypatch.setattr(bench, "peer_result", lambda peer, _: result(1.5, peer.name))
    found: dict[str, Any] = bench.pipeline(3)
    ours, *others = found["contenders"]
    assert (ours["name"], ours["ratio"]) == ("ours", 1.0)
    assert {row["ratio"] for row in others} == {3.0}
    bench.show(json.loads(json.dumps(found | {"run": {"flow": "any", "phases": []}})))
    assert "Kedro" in capsys.readouterr().err
