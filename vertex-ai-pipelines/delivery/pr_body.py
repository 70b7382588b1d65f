"""What the release pull request says: evidence for people, and one line for programs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from delivery import metrics, releases
from delivery.candidate import Candidate, candidate_of, line
from delivery.jobs import console
from delivery.markdown import bars, code, number, table, text
from delivery.markdown import line as chart
from delivery.metrics import MOST_ROWS, Metrics
from delivery.releases import Release
from flows.manifest import Manifest

__all__ = ["Evidence", "body", "candidate_of", "title"]

MOST_SERIES = 4


@dataclass(frozen=True)
class Evidence:
    """Everything that the body tells. `champion` is main's, `costs` are lines by name.

    `overrides` are what the run's configuration has else than its commit's.
    """

    candidate: Candidate
    manifest: Manifest
    champion: Manifest | None
    current: Release | None
    proposed: Release
    standby: str
    costs: Mapping[str, str]
    overrides: str = ""


def title(candidate: Candidate) -> str:
    """The pull request's title, also the merge commit's."""
    return f"Release {candidate.flow} {candidate.version} to {candidate.environment}"


def body(evidence: Evidence) -> str:
    """The pull request's body. Its last line is `candidate.line`'s."""
    parts = [
        merging(evidence),
        _overridden(evidence),
        "### Candidate and champion",
        _metrics(evidence),
        _verdict(evidence),
        _plot(evidence),
        _training(evidence.manifest.series),
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


def _overridden(evidence: Evidence) -> str:
    """That the review of flow.toml was not of this run, where it was not."""
    if not evidence.overrides:
        return ""
    commit = code(evidence.manifest.commit[:7])
    return f"**Not commit {commit}'s flow.toml**: this run had {code(evidence.overrides)} instead."


def _metrics(evidence: Evidence) -> str:
    of, first = evidence.manifest, str(_gate(evidence).get("metric"))
    shown = metrics.compared(of.metrics, _theirs(evidence), of.verdict.comparison, first)
    return "\n\n".join([shown, *_notes(evidence)])


def _theirs(evidence: Evidence) -> Metrics:
    """The champion's metrics: on the candidate's holdout, or else what its own manifest says."""
    of = evidence.manifest
    if of.verdict.comparison:
        return metrics.of_champion(of.metrics)
    return evidence.champion.metrics if evidence.champion else {}


def _notes(evidence: Evidence) -> Iterator[str]:
    verdict, current = evidence.manifest.verdict, evidence.current
    if verdict.comparison:
        share, units = 100 * verdict.comparison.confidence, verdict.comparison.units
        yield (
            f"Both were measured on the same {units:,} units of the holdout;"
            f" in brackets are {share:.4g} % confidence intervals."
        )
    elif evidence.champion:
        yield "Not comparable: each column is from its model's own manifest, so from its own holdout."
    elif current:
        yield "The champion's manifest could not be read: its numbers are not here."
    now = current.champion.version if current else None
    if verdict.champion != now:
        champion = f"The champion is {code(now)}" if now else "There is no champion"
        yield f"**{champion} by now: the gate has not compared the candidate with that.**"


def _verdict(evidence: Evidence) -> str:
    """What the gate said, in a table that is complete without the plot."""
    verdict, found = evidence.manifest.verdict, evidence.manifest.verdict.comparison
    rows = [("verdict", f"**{'passed' if verdict.passed else 'refused'}**{_by(evidence)}")]
    if verdict.champion:
        rows += [("champion", code(verdict.champion))]
    if found:
        rows += [
            (f"difference in {code(found.metric)}", metrics.difference(found)),
            ("may be worse by", _margin(evidence)),
        ]
    rows += [("because", text(reason)) for reason in verdict.reasons[:MOST_ROWS]]
    return table(("the gate", ""), rows)


def _by(evidence: Evidence) -> str:
    """What decided where the comparison did not."""
    verdict, gate = evidence.manifest.verdict, _gate(evidence)
    if verdict.comparison and verdict.comparison.decision == "undecided":
        return f": the comparison is undecided, and `on_undecided` is {code(gate.get('on_undecided'))}"
    if verdict.champion and not verdict.comparison:
        return f": not comparable, and `on_incomparable` is {code(gate.get('on_incomparable'))}"
    return ""


def _margin(evidence: Evidence) -> str:
    found, gate = evidence.manifest.verdict.comparison, _gate(evidence)
    if found is None or found.margin is None:
        return "nothing: a relative margin does not fit a champion that may be at or below zero"
    share = gate.get("margin")
    if gate.get("margin_kind") != "relative" or not isinstance(share, int | float) or not share:
        return number(found.margin)
    return f"{number(found.margin)}, {number(100 * share)} % of the champion's"


def _gate(evidence: Evidence) -> Mapping[str, Any]:
    """flow.toml's [gate], as the manifest has it; empty where it is not a table."""
    gate = evidence.manifest.config.get("gate")
    return gate if isinstance(gate, dict) else {}


def _plot(evidence: Evidence) -> str:
    """The gate's metric as bars; nothing where there are not two to compare."""
    gate = _gate(evidence)
    metric = str(gate.get("metric"))
    found = {
        "floor": gate.get("floor"),
        "champion": _theirs(evidence).get(metric),
        "candidate": evidence.manifest.metrics.get(metric),
    }
    values = {name: float(value) for name, value in found.items() if isinstance(value, int | float)}
    return bars(metric, values) if len(values) > 1 else ""


def _training(series: Mapping[str, Sequence[float]]) -> str:
    """How training went, turn by turn; nothing where the flow does not say."""
    told = {name: of for name, of in list(series.items())[:MOST_SERIES] if len(of) > 1}
    rows = [(code(name), *map(number, (of[0], min(of), max(of), of[-1]))) for name, of in told.items()]
    shown = [table(("by epoch", "first", "lowest", "highest", "last"), rows)]
    shown += [chart(name, of) for name, of in told.items()]
    return "\n\n".join(["### Training", *shown]) if told else ""


def _data(data: Mapping[str, Any]) -> str:
    return table(
        ("data", ""), [[code(key), _fact(value)] for key, value in list(data.items())[:MOST_ROWS]]
    )


def _fact(value: object) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return number(value) if is_number and isinstance(value, int | float) else text(value)


def _lineage(evidence: Evidence) -> str:
    manifest, candidate = evidence.manifest, evidence.candidate
    rows = [
        ("commit", manifest.commit),
        ("image", code(manifest.image)),
        *([("served by", code(manifest.serves))] if manifest.serves != manifest.image else []),
        ("pipeline job", f"[{code(manifest.pipeline_job)}]({console(manifest.pipeline_job)})"),
        (
            "algorithm",
            f"{code(manifest.algorithm)}, {code(manifest.format)}, made {text(manifest.created)}",
        ),
        ("manifest", code(candidate.manifest)),
        ("its SHA-256", code(candidate.sha256)),
    ]
    return table(("from", ""), rows)


def _undo(evidence: Evidence) -> str:
    before = "Before merging: close this pull request; this version is not proposed again, others are. "
    hold = "An approval or the label `hold` keeps newer candidates out of it. "
    if evidence.current is None:
        prune = releases.prune(evidence.candidate.environment, evidence.candidate.flow)
        stays = f"It goes on serving until somebody runs `{prune}`."
        return f"{before}{hold}After merging: revert it. {stays}"
    champion = code(evidence.current.champion.version)
    return (
        f"{before}{hold}After merging: revert it, and {champion} has its traffic back. "
        f"It stays deployed for {text(evidence.standby)} after it was replaced:"
        " until then, that takes seconds."
    )
