"""What a push does to pull requests: heads move, merged ones and empty ones close."""

from localcloud.github.git import ZERO
from localcloud.github.heads import is_head, tip
from localcloud.github.identity import ACTOR
from localcloud.github.repository import Repository, timestamp
from localcloud.github.tracker import Record, Tracker

BRANCH = "refs/heads/"


class Follower:
    """Listens to pushes; `__call__` is a push hook."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker

    def __call__(self, moved: Repository, ref: str, _before: str, after: str) -> None:
        if not ref.startswith(BRANCH):
            return
        name = ref.removeprefix(BRANCH)
        for where in self.tracker.repositories.network(moved):
            for record in self.tracker.issues(where, pulls=True):
                if record["state"] == "open":
                    self._follow(where, record, (moved, name, after))

    def _follow(self, where: Repository, record: Record, to: tuple[Repository, str, str]) -> None:
        (moved, name, after), pull = to, record["pull"]
        head = is_head(where, pull, moved, name)
        base = (where.key, pull["base_ref"]) == (moved.key, name)
        if (head or base) and after == ZERO:
            self.tracker.close(where, record, ACTOR.get())
        elif head:
            self._head_moved(where, record, moved)
        elif base:
            self._base_moved(where, record, after)

    def _head_moved(self, where: Repository, record: Record, moved: Repository) -> None:
        pull = record["pull"]
        after = pull["head_sha"] = str(tip(where, moved, pull["head_ref"]))
        keep_head(where, record)
        self.tracker.save(where, record)
        if where.is_ancestor(after, pull["base_sha"]):
            self.tracker.close(where, record, ACTOR.get())
        else:
            self.tracker.tell(where, record, "synchronize")

    def _base_moved(self, where: Repository, record: Record, after: str) -> None:
        pull = record["pull"]
        if where.is_ancestor(pull["head_sha"], after):
            mark_merged(self.tracker, where, record, after)
        else:
            pull["base_sha"] = after
            self.tracker.save(where, record)


def keep_head(where: Repository, record: Record) -> None:
    """Point refs/pull/N/head at the head, so that it outlives its branch."""
    where.raw("update-ref", f"refs/pull/{record['number']}/head", record["pull"]["head_sha"])


def mark_merged(tracker: Tracker, where: Repository, record: Record, commit: str) -> None:
    """Close the pull request as merged by that commit of its base branch."""
    merged = {
        "merged": True,
        "merged_at": timestamp(),
        "merged_by": ACTOR.get(),
        "merge_commit_sha": commit,
    }
    record["pull"].update(merged)
    tracker.note_contribution(where, record["user"])
    tracker.close(where, record, ACTOR.get())
