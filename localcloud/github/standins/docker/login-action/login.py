"""Write the user and password of a registry into Docker's configuration file."""

import base64
import json
import os
from pathlib import Path


def main() -> None:
    """Do it."""
    inputs: dict[str, str] = json.loads(os.environ["INPUTS"])
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = folder / "config.json"
    content = json.loads(file.read_text()) if file.exists() else {}
    pair = base64.b64encode(f"{inputs['username']}:{inputs['password']}".encode()).decode()
    print(f"::add-mask::{pair}\n::add-mask::{inputs['password']}")
    content.setdefault("auths", {})[inputs["registry"]] = {"auth": pair}
    file.touch(mode=0o600)
    file.write_text(json.dumps(content))
    print(f"Logged in to {inputs['registry']} as {inputs['username']}")


if __name__ == "__main__":
    main()
