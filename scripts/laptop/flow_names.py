"""Which names a new flow may have: what else it names, and what is named so already."""

import importlib.util
import keyword
import re
import sys
from collections.abc import Callable

from delivery import lock, releases
from delivery.serving_names import endpoint_id
from delivery.settings import ROOT
from flows import config
from flows.errors import InputError
from flows.tables import load_toml

LONGEST = 40  # characters: an id of Vertex AI has 63, and a flow's holds the environment and more
FORM = "use lower case letters, digits and '_', at most 40, a letter first"
OTHER = "choose another name"
EXPERIMENT = "experiment"


def free(name: str) -> str:
    """`name`, which a new flow may have. Raises InputError that says why it may not."""
    for refuse in RULES:
        refuse(name)
    return name


def _form(name: str) -> None:
    if config.NAME.fullmatch(name):
        return
    near = re.sub(r"[^a-z0-9_]+", "_", name.lower()).strip("_")[:LONGEST]
    mend = f"{FORM}: for example '{near}'" if config.NAME.fullmatch(near) and _is_free(near) else FORM
    why = "a flow's name is a Python module's, too, and a part of ids and labels in the cloud"
    if len(name) > LONGEST:
        why = f"it has {len(name)} characters, and {why}"
    raise InputError(f"'{name}' is no flow's name: {why}", mend)


def _is_free(name: str) -> bool:
    try:
        return bool(free(name))
    except InputError:
        return False


def _keyword(name: str) -> None:
    if keyword.iskeyword(name):
        what = f"'{name}' is a word of Python's own: 'from flows import {name}' would not be read"
        raise InputError(what, OTHER)


def _flow(name: str) -> None:
    if name in config.names():
        raise InputError(f"there is a flow '{name}' already", f"{OTHER}, or ./scripts/run {name}")


def _shared(name: str) -> None:
    file, folder = config.FLOWS / f"{name}.py", config.FLOWS / name / "__init__.py"
    for path in (file, folder):
        if path.exists():
            where = path.relative_to(config.FLOWS.parent)
            raise InputError(f"'{name}' is what the flows share: {where}", OTHER)


def _package(name: str) -> None:
    if name in sys.stdlib_module_names:
        raise InputError(f"'{name}' is a module of Python's own, which the flow may need", OTHER)
    spec = importlib.util.find_spec(name)
    if spec and spec.origin:  # a mere folder of that name is no package
        raise InputError(f"'{name}' is an installed package, which the flow may need", OTHER)
    if group := lock.group_with(ROOT, name.replace("_", "-")):  # installed here or not
        what = f"'{name}' is a package of the dependency group '{group}', which the flow may need"
        raise InputError(what, OTHER)


def _experiment(name: str) -> None:
    words = name.split("_")
    if EXPERIMENT in (words[0], words[-1]):
        what = f"'{name}': what begins or ends with '{EXPERIMENT}' is a trial of another flow"
        raise InputError(what, OTHER)


def _endpoint(name: str) -> None:
    environments = load_toml(ROOT / "settings.toml").get("environments", {})  # without any package
    ids = {endpoint_id(flow, one): flow for flow in config.names() for one in environments}
    for one in environments:
        own = endpoint_id(name, one)
        if own in ids:
            raise InputError(f"'{name}': its endpoint {own} would be that of flow '{ids[own]}'", OTHER)


def _released(name: str) -> None:
    for path in sorted(ROOT.glob(releases.path("*", name))):
        what = f"{path.relative_to(ROOT)} says that a model of another flow '{name}' serves"
        raise InputError(what, f"delete that file and deploy, or {OTHER}")


RULES: tuple[Callable[[str], None], ...] = (
    _form,
    _keyword,
    _flow,
    _shared,
    _released,
    _package,
    _experiment,
    _endpoint,
)
