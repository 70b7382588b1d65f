"""What `pr` says of checks that have failed."""

from typing import Any

from localcloud.shown import TAIL, failures


def check(number: int, name: str, conclusion: str | None) -> dict[str, Any]:
    url = f"https://github.com/acme/models/actions/runs/7/job/{number}"
    return {"id": number, "name": name, "conclusion": conclusion, "details_url": url}


def test_a_failed_check_shows_its_log_s_end_and_how_to_read_it_all() -> None:
    logs = {1: ["begins", *["works"] * TAIL, "error: releases/local/linnerud.toml:4: no version"]}
    found = [check(1, "releases", "failure"), check(2, "plan", "success"), check(3, "test", None)]
    head, *lines = failures(logs.__getitem__, found)
    assert head == "\n--- releases failed · ./scripts/localcloud logs run-7"
    assert (len(lines), lines[-1]) == (TAIL, logs[1][-1])
