"""Where the logs are, and how to read one."""

import sys
from pathlib import Path


def available(root: Path) -> dict[str, Path]:
    """Every log by the name that `logs` takes, oldest first within its kind."""
    found = {"server": root / "server.log", "calls": root / "calls.log"}
    for place in ("pipeline-jobs", "endpoints"):
        for path in sorted(root.glob(f"{place}/*/logs/*.log"), key=lambda p: p.stat().st_mtime):
            found[f"{path.parent.parent.name}/{path.stem}"] = path
    for path in sorted(root.glob("runs/*/log.txt"), key=lambda p: p.stat().st_mtime):
        found[f"run-{path.parent.name}"] = path
    return {name: path for name, path in found.items() if path.exists()}


def print_logs(root: Path, what: str | None, lines: int) -> int:
    """The names of all logs, or the logs whose name is or starts with `what`."""
    known = available(root)
    if what is None:
        for name, path in known.items():
            print(f"{name:60} {path.stat().st_size:>10,} bytes")
        print("\n./scripts/localcloud logs NAME prints one, or all of a pipeline job or an endpoint")
        return 0
    chosen = {name: path for name, path in known.items() if name == what or name.startswith(f"{what}/")}
    if not chosen:
        print(f"error: there is no log '{what}'; ./scripts/localcloud logs lists them", file=sys.stderr)
        return 2
    for name, path in chosen.items():
        text = path.read_text(errors="replace").splitlines()
        print("\n".join([*([f"==> {name}"] if len(chosen) > 1 else []), *text[-lines or None :]]))
    return 0
