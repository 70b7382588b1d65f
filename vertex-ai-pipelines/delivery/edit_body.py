"""What the pull request of an edit says: what merging does, the evidence, and how to undo it."""

from collections.abc import Iterator
from dataclasses import dataclass

from delivery import releases
from delivery.candidate import Candidate
from delivery.edit import Change
from delivery.markdown import code, table, text
from flows.serving_config import Serving


@dataclass(frozen=True)
class Told:
    """What the body tells beside the change: `evidence`, Markdown, and the `command` that asks for it.

    `rival` is the number of the open release pull request, with its candidate; `note` is what else
    there is to say, Markdown.
    """

    serving: Serving
    evidence: str
    command: str
    rival: tuple[int, Candidate] | None = None
    note: str = ""


def title(change: Change) -> str:
    """The pull request's title, also the merge commit's."""
    flow, where = change.flow, f"in {change.environment}"
    champion, challenger, current = change.becomes.champion, change.becomes.challenger, change.current
    if current is None:
        return f"Release {flow} {champion.version} to {change.environment}"
    if challenger and current.entry(challenger.version):
        return f"Give {flow} {challenger.version} {challenger.traffic} % {where}"
    if challenger:
        return f"Release {flow} {challenger.version} to {change.environment}"
    if champion.version == current.champion.version:
        return f"Take challenger {current.newest.version} of {flow} out {where}"
    if current.entry(champion.version):
        return f"Make {champion.version} champion of {flow} {where}"
    return f"Put {flow} back to {champion.version} {where}"


def body(change: Change, told: Told) -> str:
    """The pull request's body. Its last line is the mark's."""
    parts = [
        merging(change, told.serving),
        told.note,
        _shares(change),
        told.evidence and f"### Evidence\n\n{told.evidence}",
        "### How to undo it",
        _undo(change),
        "### If it shows a conflict",
        _conflict(told),
        change.mark.line(),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def merging(change: Change, serving: Serving) -> str:
    """What merging will do, in a sentence or two."""
    return " ".join(_merging(change, serving))


def _merging(change: Change, serving: Serving) -> Iterator[str]:
    champion, challenger, current = change.becomes.champion, change.becomes.challenger, change.current
    of = f"of {code(change.flow)} in {code(change.environment)}"
    if current is None:
        yield f"Merging this makes {code(champion.version)} the first champion {of}."
        return
    old = current.champion
    if challenger:
        yield (
            f"Merging this gives {code(challenger.version)} {challenger.traffic} % of the traffic {of},"
            f" as challenger; champion {code(champion.version)} has {champion.traffic} %."
        )
    elif champion.version == old.version:
        yield f"Merging this gives champion {code(champion.version)} {of} all of the traffic again."
    else:
        yield (
            f"Merging this makes {code(champion.version)} the champion {of}, with all of the traffic,"
            f" in the place of {code(old.version)}."
        )
        if serving.kind == "endpoint":
            yield f"{code(old.version)} stays deployed at 0 % for {text(serving.standby)}."
    gone = current.challenger
    if gone and change.becomes.entry(gone.version) is None:
        yield f"{code(gone.version)} is no longer challenger."


def _shares(change: Change) -> str:
    """Every version's share now and then."""
    was, becomes = change.mark.was, change.mark.becomes
    rows = [
        (code(version), _share(was.get(version)), _share(becomes.get(version)))
        for version in {**was, **becomes}
    ]
    return table(("traffic", "now", "after merging"), rows)


def _share(share: int | None) -> str:
    return "–" if share is None else f"{share} %"


def _undo(change: Change) -> str:
    before = "Before merging: close this pull request."
    if change.current is None:
        prune = releases.prune(change.environment, change.flow)
        return f"{before} After merging: revert it. It goes on serving until somebody runs `{prune}`."
    return (
        f"{before} After merging: revert it (`git revert -m 1` of the merge, or GitHub's button), and"
        " the shares are as they are now. What is deployed still gets its traffic within seconds."
    )


def _conflict(told: Told) -> str:
    """What heals either pull request where the flow's release pull request changes the file, too."""
    heals = f"`{told.command}` brings this one to main's head, or says why not."
    if told.rival is None:
        return f"Then main's file has changed meanwhile: {heals}"
    number, candidate = told.rival
    start = (
        f"gh workflow run release-pr.yml -f flow={candidate.flow} -f environment={candidate.environment}"
        f" -f manifest={candidate.manifest} -f sha256={candidate.sha256}"
    )
    return (
        f"Release pull request #{number} changes the same file: of the two, the one that is merged"
        f" second shows a conflict. {heals} #{number} is mended by the next tick, or at once by"
        f"\n\n```\n{start}\n```"
    )
