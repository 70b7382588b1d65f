"""What `doctor` says where GitHub attests images: what the plan allows, who counts, what is lacking."""

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from delivery import federation, settings, supply_checks
from delivery.finding import Finding
from delivery.grants import Repository
from localcloud.store import Store
from tests.delivery.attesters import NUMBER, OWNER, Attester, trusting

Look = Callable[..., list[Finding]]
SIGNS = {True: "the public Sigstore, in its log", False: "GitHub's own Sigstore, by timestamps"}


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Look:
    """What is found where GitHub attests, in a repository with numbers of its own."""
    own = settings.load()
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    monkeypatch.setattr(settings, "load", lambda: own)
    monkeypatch.setattr(federation, "repository", lambda name: Repository(name, NUMBER, OWNER))
    production = msgspec.structs.replace(own.environment("production"), attest="github")

    def look(private: bool = True) -> list[Finding]:
        monkeypatch.setattr(federation, "is_private", lambda name: private)
        return list(supply_checks.attested(production))

    return look


def test_where_github_attests_what_is_lacking_is_named(found: Look, tmp_path: Path) -> None:
    plan, numbers, lacking = found()
    assert (plan.state, plan.found.split(":")[0]) == ("note", "acme/models is private")
    assert (numbers.state, numbers.expected) == (
        "failed",
        f"repository_id = {NUMBER}, owner_id = {OWNER}",
    )
    assert "production.toml: there is no such file" in numbers.found
    assert (lacking.state, lacking.mend.split(",")[0]) == (
        "failed",
        "gh attestation trusted-root > trust/production.jsonl",
    )
    trusting(tmp_path, Attester(Store(tmp_path / "sigstore")), number=1)
    _, numbers, root = found()
    assert f"trusts repository 1 of {OWNER}, which is not acme/models" in numbers.found
    assert root.state == "ok"


@pytest.mark.parametrize("is_public", [True, False])
def test_where_github_attests_the_roots_are_of_the_sigstore_that_signs(
    found: Look, tmp_path: Path, is_public: bool
) -> None:
    made = Attester(Store(tmp_path / "sigstore"), is_public)
    trusting(tmp_path, made)
    good = found(private=not is_public)
    assert [one.found for one in good if one.state == "ok"] == [
        f"github · .github/workflows/train.yml on main of acme/models, number {NUMBER}",
        f"trust/production.jsonl · {SIGNS[is_public]}",
    ]
    assert "failed" not in {one.state for one in good}
    assert "has no root of" in found(private=is_public)[-1].found
    root = made.root()
    root["certificateAuthorities"][0]["validFor"]["end"] = "2020-01-01T00:00:00Z"
    (tmp_path / "trust" / "production.jsonl").write_text(json.dumps(root))
    over = found(private=not is_public)[-1]
    assert (over.state, over.found) == ("failed", "trust/production.jsonl: no authority counts now")
