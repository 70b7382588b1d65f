"""Challenger against champion, by what both answered: whether the challenger may have a larger share."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import sqrt
from typing import Any

from delivery import monitoring, pull
from delivery.branch import MAIN
from delivery.markdown import code, number, table, text
from delivery.monitoring import Answers, Window
from delivery.releases import Entry, Release
from delivery.rollout import Target
from delivery.serving_names import deployed_id, endpoint_id
from delivery.settings import Environment
from flows.serving_config import Serving

LONGEST = timedelta(days=7)  # of a window
NORMAL = 1.645  # the normal distribution's 95 %, one-sided


@dataclass(frozen=True)
class Proof:
    """What champion and challenger answered in a window; `obstacle` says why it is not known."""

    window: Window
    answers: Mapping[str, Answers]
    obstacle: str = ""

    def of(self, entry: Entry) -> Answers:
        """What a version answered."""
        return self.answers.get(entry.version, Answers())


def gather(environment: Environment, target: Target, since: datetime, present: datetime) -> Proof:
    """What the versions of a release answered since then; where that is not known, why.

    Both are judged by the same time: from the challenger's first answer on, where there is a challenger.
    """
    import requests
    from google.auth.exceptions import GoogleAuthError

    window, serving = Window.until(present, since, LONGEST), target.serving
    if serving.kind != "endpoint":
        return Proof(window, {}, "no endpoint serves this flow: nobody counts what is asked")
    endpoint = serving.endpoint or endpoint_id(target.flow, environment.name)
    ids = {entry.version: deployed_id(entry.version, target.machine) for entry in target.release.entries}
    challenger = target.release.challenger
    try:
        if challenger:
            begun = monitoring.first(environment.project, endpoint, ids[challenger.version], window)
            window = Window.until(present, max(since, begun or since), LONGEST)
        found = monitoring.answers(environment.project, endpoint, window)
    except requests.HTTPError as error:
        return Proof(window, {}, f"Cloud Monitoring answers {error.response.status_code}")
    except (GoogleAuthError, requests.RequestException) as error:
        return Proof(window, {}, f"Cloud Monitoring cannot be asked: {type(error).__name__}")
    return Proof(window, {version: found[one] for version, one in ids.items() if one in found})


def lacks(proof: Proof, release: Release, serving: Serving) -> list[str]:
    """Why the challenger may not have more yet; nothing where it may."""
    if proof.obstacle:
        return [proof.obstacle]
    if release.challenger is None:
        return ["there is no challenger"]
    return list(_lacks(proof.of(release.champion), proof.of(release.challenger), serving))


def _lacks(champion: Answers, challenger: Answers, serving: Serving) -> Iterator[str]:
    least = serving.promote_requests
    for role, one in (("challenger", challenger), ("champion", champion)):
        if one.responses < least:
            asked = f"{one.responses:,} request{'' if one.responses == 1 else 's'}"
            yield f"the {role} has answered {asked}, fewer than {least:,}"
            return
    worse = error_bound(champion, challenger)
    if worse > serving.promote_errors:
        yield (
            f"the challenger's error rate may be higher by {100 * worse:.3g} points (95 %),"
            f" more than {100 * serving.promote_errors:.3g}"
        )
    old, new = champion.latency(0.99), challenger.latency(0.99)
    if old is None or new is None:
        yield "the latencies are not known"
    elif new > old * (1 + serving.promote_latency):
        yield (
            f"the challenger's p99 is {number(new)} ms, the champion's {number(old)} ms:"
            f" more than {100 * serving.promote_latency:.3g} % slower"
        )


def error_bound(champion: Answers, challenger: Answers) -> float:
    """By how much the challenger's error rate may be higher, at 95 % (Agresti and Caffo).

    One error and one good answer more on either side keep it honest where there are none. The 95 % are
    those of one look: who looks until it passes, as promote = "auto" does, errs more often.
    """
    rates = [(one.errors + 1) / (one.responses + 2) for one in (challenger, champion)]
    sizes = [one.responses + 2 for one in (challenger, champion)]
    spread = sqrt(sum(p * (1 - p) / n for p, n in zip(rates, sizes, strict=True)))
    return rates[0] - rates[1] + NORMAL * spread


def shown(proof: Proof, release: Release, serving: Serving, is_judged: bool = True) -> str:
    """The evidence in Markdown: a table, and, where that `is_judged`, what the rule says."""
    if proof.obstacle:
        return f"None: {text(proof.obstacle)}."
    head = ("", "requests", "errors", "p50", "p99", "predictions")
    rows = [_row(role, entry, proof.of(entry)) for role, entry in release.roles()]
    start, end = (f"{one:%Y-%m-%d %H:%M}" for one in proof.window)
    parts = [f"From {start} to {end} UTC, by Cloud Monitoring:", table(head, rows)]
    return "\n\n".join([*parts, *(_judged(proof, release, serving) if is_judged else [])])


def _row(role: str, entry: Entry, one: Answers) -> tuple[str, ...]:
    rate = f"{100 * one.error_rate:.3g} %" if one.error_rate is not None else "–"
    p50, p99 = (_milliseconds(one.latency(share)) for share in (0.5, 0.99))
    name = f"{role} {code(entry.version)}"
    return name, number(one.responses), f"{rate} ({one.errors:,})", p50, p99, number(one.predictions)


def _milliseconds(found: float | None) -> str:
    return "–" if found is None else f"{found:.3g} ms"


def _judged(proof: Proof, release: Release, serving: Serving) -> Iterator[str]:
    if release.challenger is None:
        return
    reasons = [f"- {text(reason)}" for reason in lacks(proof, release, serving)]
    if reasons:
        yield "By `[serving]`'s rule the challenger may not have more yet:"
        yield "\n".join(reasons)
    else:
        yield "By `[serving]`'s rule the challenger may have more."


def since(repository: Any, path: str, branches: Sequence[str]) -> datetime:
    """Since when main's file `path` says what it says: its last commit, or the merge that came after it.

    A merge is no commit of the file's own: the pull requests of `branches`, which change it, tell of it.
    """
    newest = next(iter(repository.get_commits(sha=MAIN, path=path)))
    when: datetime = newest.commit.committer.date
    merged = (pull.merged(repository, one) for one in branches)
    return max([when, *(one for one in merged if one)])
