"""Whether a whole image can be built on this machine."""

import os
import shutil

TOOLS = ("buildah", "mmdebstrap")


def lacks() -> str:
    """Why this machine cannot build a whole image; "" where it can."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        return f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not on this machine"
    return "" if os.geteuid() == 0 else "only root may, on this machine"
