"""The vendors' messages without all of their clients, which take longer to import than the rest does."""

import importlib.util
import sys
from types import ModuleType

PACKAGES = (
    "google.cloud.aiplatform_v1",
    "google.cloud.kms_v1",
    "google.cloud.resourcemanager_v3",
    "google.cloud.secretmanager_v1",
)


def alone() -> None:
    """Let this process import modules of PACKAGES without what their `__init__` imports."""
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is None or name in sys.modules:
            continue
        bare = ModuleType(name)
        bare.__path__ = list(spec.submodule_search_locations or [])
        bare.__spec__ = spec
        sys.modules[name] = bare
