"""What the release pull request says: evidence for people, and one line for programs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import quote

from delivery.candidate import Candidate, candidate_of, line
from delivery.markdown import bars, code, interval, number, signed, table, text
from delivery.releases import Release
from flows.manifest import CHAMPION, Comparison, Manifest, Verdict

__all__ = ["Evidence", "body", "candidate_of", "title"]
Metrics: TypeAlias = Mapping[str, float | None]
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
    own, theirs = evidence.manifest.metrics, _theirs(evidence)
    head = ("metric", "candidate", *(("champion", "difference") if theirs else ()))
    names = sorted(_names(own), key=lambda name: (name != _gate(evidence).get("metric"), name))
    rows = [_row(name, own, theirs, evidence.manifest.verdict) for name in names]
    return "\n\n".join([table(head, rows[:MOST_ROWS]), *_notes(evidence)])


def _theirs(evidence: Evidence) -> Metrics:
    """The champion's metrics: on the candidate's holdout, or else what its own manifest says."""
    of = evidence.manifest
    if of.verdict.comparison:
        measured = (name for name in of.metrics if name.startswith(CHAMPION))
        return {name.removeprefix(CHAMPION): of.metrics[name] for name in measured}
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


def _names(metrics: Metrics) -> Iterator[str]:
    """The candidate's metrics without the bounds of their intervals."""
    bounds = {f"{name}_{end}" for name in metrics for end in ("low", "high")}
    return (name for name in metrics if name not in bounds and not name.startswith(CHAMPION))


def _row(name: str, own: Metrics, theirs: Metrics, verdict: Verdict) -> list[str]:
    cells = [code(name), _value(name, own)]
    if not theirs:
        return cells
    found = verdict.comparison
    if found and found.metric == name:
        return [*cells, _value(name, theirs), _difference(found)]
    return [*cells, _value(name, theirs), _change(own.get(name), theirs.get(name))]


def _value(name: str, metrics: Metrics) -> str:
    low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
    return number(metrics.get(name)) + interval(low, high)


def _difference(found: Comparison) -> str:
    return signed(found.difference) + interval(found.low, found.high, signed)


def _change(own: float | None, theirs: float | None) -> str:
    return "–" if own is None or theirs is None else signed(own - theirs)


def _verdict(evidence: Evidence) -> str:
    """What the gate said, in a table that is complete without the plot."""
    verdict, found = evidence.manifest.verdict, evidence.manifest.verdict.comparison
    rows = [("verdict", f"**{'passed' if verdict.passed else 'refused'}**{_by(evidence)}")]
    if verdict.champion:
        rows += [("champion", code(verdict.champion))]
    if found:
        rows += [
            (f"difference in {code(found.metric)}", _difference(found)),
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
    before = "Before merging: close this pull request; this version is not proposed again, others are. "
    hold = "An approval or the label `hold` keeps newer candidates out of it. "
    if evidence.current is None:
        return f"{before}{hold}After merging: revert it; nothing serves then."
    champion = code(evidence.current.champion.version)
    return (
        f"{before}{hold}After merging: revert it, and {champion} has its traffic back. "
        f"It stays deployed for {text(evidence.standby)} after it was replaced:"
        " until then, that takes seconds."
    )
