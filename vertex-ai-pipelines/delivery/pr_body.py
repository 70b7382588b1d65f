"""What the release pull request says: evidence for people, and one line for programs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from delivery.candidate import Candidate, candidate_of, line
from delivery.markdown import bars, code, number, table, text
from delivery.releases import Release
from flows.manifest import Manifest

__all__ = ["Evidence", "body", "candidate_of", "title"]
MOST_ROWS = 40  # of any one list from outside: a body holds 65,536 characters


@dataclass(frozen=True)
class Evidence:
    """Everything that the body tells. `champion` is main's, `costs` are lines by name."""

    candidate: Candidate
    manifest: Manifest
    champion: Manifest | None
    current: Release | None
    proposed: Release
    standby: str
    costs: Mapping[str, str]


def title(candidate: Candidate) -> str:
    """The pull request's title, also the merge commit's."""
    return f"Release {candidate.flow} {candidate.version} to {candidate.environment}"


def body(evidence: Evidence) -> str:
    """The pull request's body. Its last line is `candidate.line`'s."""
    parts = [
        merging(evidence),
        "### Candidate and champion",
        _metrics(evidence),
        _verdict(evidence),
        _plot(evidence),
        "### Data",
        _data(evidence.manifest.data),
        "### Where it comes from",
        _lineage(evidence),
        "### Cost, estimated",
        table(
            ("of", "list prices of November 2026"),
            ((text(k), text(v)) for k, v in evidence.costs.items()),
        ),
        "### How to undo it",
        _undo(evidence),
        line(evidence.candidate),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def merging(evidence: Evidence) -> str:
    """What merging will do, in a sentence or two."""
    candidate, current, proposed = evidence.candidate, evidence.current, evidence.proposed
    name = f"{code(candidate.flow)} {code(candidate.version)}"
    where = f"in {code(candidate.environment)}"
    if current is None:
        return (
            f"Merging this releases {name} {where} with all of the traffic: it is the first one there."
        )
    old = code(current.champion.version)
    if proposed.challenger is None:
        return f"Merging this releases {name} {where} with all of the traffic, in the place of {old}."
    shares = f"{proposed.challenger.traffic} % of the traffic; {old} keeps {proposed.champion.traffic} %"
    gone = current.challenger
    replaced = f" It takes the place of challenger {code(gone.version)}." if gone else ""
    return f"Merging this releases {name} {where} as challenger with {shares}.{replaced}"


def _metrics(evidence: Evidence) -> str:
    own = evidence.manifest.metrics
    theirs = evidence.champion.metrics if evidence.champion else {}
    head = ("metric", "candidate", *(("champion", "change") if evidence.champion else ()))
    rows = [_row(name, own, theirs if evidence.champion else None) for name in _names(own)]
    return "\n\n".join([table(head, rows[:MOST_ROWS]), *_notes(evidence)])


def _notes(evidence: Evidence) -> list[str]:
    if evidence.champion:
        where = "Each column is from its model's own manifest, so from its own holdout"
        return [f"{where}; the verdict compares both on the candidate's."]
    if evidence.current:
        return ["The champion's manifest could not be read: its numbers are not here."]
    return []


def _names(metrics: Mapping[str, float | None]) -> Iterator[str]:
    """The metrics without the bounds of their intervals."""
    bounds = {f"{name}_{end}" for name in metrics for end in ("low", "high")}
    return (name for name in metrics if name not in bounds)


def _row(
    name: str, own: Mapping[str, float | None], theirs: Mapping[str, float | None] | None
) -> list[str]:
    cells = [code(name), _value(name, own)]
    if theirs is None:
        return cells
    return [*cells, _value(name, theirs), _change(own.get(name), theirs.get(name))]


def _value(name: str, metrics: Mapping[str, float | None]) -> str:
    low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
    interval = f" [{number(low)}, {number(high)}]" if low is not None and high is not None else ""
    return number(metrics.get(name)) + interval


def _change(own: float | None, theirs: float | None) -> str:
    if own is None or theirs is None or theirs == 0:
        return "–"
    return f"{100 * (own - theirs) / abs(theirs):+.1f} %"


def _verdict(evidence: Evidence) -> str:
    verdict = evidence.manifest.verdict
    against = f", against champion {code(verdict.champion)}" if verdict.champion else ""
    head = f"**The gate {'passed' if verdict.passed else 'refused'} it**{against}:"
    return "\n".join([head, "", *(f"- {text(reason)}" for reason in verdict.reasons[:MOST_ROWS])])


def _plot(evidence: Evidence) -> str:
    """The gate's metric as bars; nothing where there are not two to compare."""
    gate = evidence.manifest.config.get("gate")
    if not isinstance(gate, dict):
        return ""
    metric = str(gate.get("metric"))
    found: dict[str, Any] = {"floor": gate.get("floor")}
    if evidence.champion:
        found["champion"] = evidence.champion.metrics.get(metric)
    found["candidate"] = evidence.manifest.metrics.get(metric)
    values = {name: float(value) for name, value in found.items() if isinstance(value, int | float)}
    return bars(metric, values) if len(values) > 1 else ""


def _data(data: Mapping[str, Any]) -> str:
    return table(
        ("data", ""), [[text(key), _fact(value)] for key, value in list(data.items())[:MOST_ROWS]]
    )


def _fact(value: object) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return number(value) if is_number and isinstance(value, int | float) else text(value)


def _lineage(evidence: Evidence) -> str:
    manifest, candidate = evidence.manifest, evidence.candidate
    rows = [
        ("commit", manifest.commit),
        ("image", code(manifest.image)),
        ("pipeline job", f"[{code(manifest.pipeline_job)}]({_console(manifest.pipeline_job)})"),
        (
            "algorithm",
            f"{code(manifest.algorithm)}, {code(manifest.format)}, made {text(manifest.created)}",
        ),
        ("manifest", code(candidate.manifest)),
        ("its SHA-256", code(candidate.sha256)),
    ]
    return table(("from", ""), rows)


def _console(job: str) -> str:
    _, project, _, region, _, name = (quote(part) for part in job.split("/"))
    return (
        "https://console.cloud.google.com/vertex-ai/locations/"
        f"{region}/pipelines/runs/{name}?project={project}"
    )


def _undo(evidence: Evidence) -> str:
    before = "Before merging: close this pull request; this version is not proposed again. "
    hold = "The label `hold` keeps newer candidates out of it. "
    if evidence.current is None:
        return f"{before}{hold}After merging: revert it; nothing serves then."
    champion = code(evidence.current.champion.version)
    return (
        f"{before}{hold}After merging: revert it, and {champion} has its traffic back. "
        f"It stays deployed for {text(evidence.standby)} after it was replaced:"
        " until then, that takes seconds."
    )
