"""Whether the needed jobs ended as they may."""

import json
import os
import sys
from pathlib import Path


def names(text: str) -> list[str]:
    """A list of jobs, as JSON or parted by commas."""
    if text.strip().startswith("["):
        return [str(one) for one in json.loads(text)]
    return [one.strip() for one in text.split(",") if one.strip()]


def main() -> int:
    """Do it; returns the exit code."""
    jobs = {name: str(job["result"]) for name, job in json.loads(os.environ["JOBS"]).items()}
    failures, skips = names(os.environ["FAILURES"]), names(os.environ["SKIPS"])
    bad = [
        name
        for name, result in jobs.items()
        if not (
            result == "success"
            or (result == "skipped" and name in skips)
            or (result in ("failure", "cancelled") and name in failures)
        )
    ]
    for name, result in jobs.items():
        print(f"{name}: {result}{' · not allowed' if name in bad else ''}")
    good = bool(jobs) and not bad
    with Path(os.environ["GITHUB_OUTPUT"]).open("a") as file:
        file.write(f"result={'success' if good else 'failure'}\n")
        file.write(f"success={str(good).lower()}\nfailure={str(not good).lower()}\n")
    if not good:
        print(
            f"::error::Some of the required jobs did not succeed: {', '.join(bad) or 'there are none'}"
        )
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
