"""flow.toml: the one description of a flow. This module reads and validates it."""

import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from flows import overrides, serving_config
from flows.errors import InputError
from flows.serving_config import Serving
from flows.tables import Table, convert, hint, load_toml

FLOWS = Path(__file__).parent
Share = Annotated[float, Meta(gt=0, lt=1)]
MACHINES = ("default", "get_data", "preprocess", "train", "evaluate", "upload_model")
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")  # also a Python module, a label and part of a job's id
Unsafe = re.compile(r'["\\\x00-\x1f]')


class Data(Table):
    """Where the rows come from. `until` is "latest" (the table's last change) or a date."""

    query: str
    table: str
    days: Annotated[int, Meta(ge=1)]
    until: str = "latest"


class Gate(Table):
    """What a candidate must show. `floor` and `margin` are in the metric's unit or relative."""

    metric: str
    goal: Literal["max", "min"] = "max"
    floor: float | None = None
    margin: Annotated[float, Meta(ge=0)] = 0.0
    margin_kind: Literal["relative", "absolute"] = "relative"
    confidence: Share = 0.95
    on_undecided: Literal["refuse", "pass"] = "refuse"
    on_incomparable: Literal["refuse", "pass"] = "refuse"


class Machine(Table):
    """What one step runs on: `cpu` in cores, `memory` with its unit.

    Where it fails, for whatever reason, it is tried again, up to `retries` times: worth it for what is
    long, may lose its machine, and goes on where it was (flows.checkpoints).
    """

    cpu: Annotated[str, Meta(pattern=r"^\d+(\.\d+)?m?$")] = "2"
    memory: Annotated[str, Meta(pattern=r"^\d+(\.\d+)?(K|M|G|T|Ki|Mi|Gi|Ti)$")] = "8G"
    accelerator: str | None = None
    accelerator_count: Annotated[int, Meta(ge=1)] = 1
    retries: Annotated[int, Meta(ge=0, le=10)] = 0


class Train(Table):
    """The chosen algorithm, its seed and its own options, defaults filled in."""

    algorithm: str
    seed: Annotated[int, Meta(ge=0, lt=2**32)] = 0  # numpy's and torch's generators take no other
    options: dict[str, Any] = {}


class FlowConfig(Table):
    """A whole flow.toml; the flow's own options are checked against its `Config`.

    `assignments` are what one run changes of it (flows.overrides); they are in the other fields already.
    """

    name: str
    description: str
    data: Data
    data_options: dict[str, Any]
    preprocess: dict[str, Any]
    train: Train
    gate: Gate
    query: str
    schedule: str | None = None
    timezone: str = "UTC"
    retrain_on: Literal["own", "all", "never"] = "own"
    image: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]*$")] = "base"
    resources: dict[str, Machine] = {}
    serving: Serving = Serving()
    serving_overrides: dict[str, Serving] = {}
    assignments: str = ""

    def machine(self, step: str) -> Machine:
        """The machine of one step: its own entry, or the default one."""
        return self.resources.get(step) or self.resources.get("default") or Machine()

    def serving_in(self, environment: str) -> Serving:
        """The serving table as `environment` overrides it."""
        return self.serving_overrides.get(environment, self.serving)


class _Toml(Table):
    schema: Literal[1]
    description: str
    data: dict[str, Any]
    train: dict[str, Any]
    gate: Gate
    preprocess: dict[str, Any] = {}
    serving: dict[str, Any] = {}
    resources: dict[str, Machine] = {}
    schedule: Annotated[str, Meta(pattern=r"^\S+( \S+){4}$")] | None = None
    timezone: str = "UTC"
    retrain_on: Literal["own", "all", "never"] = "own"
    image: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]*$")] = "base"


def names(flows: Path = FLOWS) -> list[str]:
    """The flows there are: the folders that hold a flow.toml."""
    return sorted(path.parent.name for path in flows.glob("*/flow.toml"))


def existing(name: str, flows: Path = FLOWS) -> str:
    """`name`, where there is a flow of that name. Raises InputError."""
    if not NAME.fullmatch(name):
        raise InputError(
            f"'{name}' is no flow's name",
            "use lower case letters, digits and '_', at most 40, a letter first",
        )
    if name not in names(flows):
        raise InputError(f"there is no flow '{name}'", f"name one of: {', '.join(names(flows))}")
    return name


def load(name: str, flows: Path = FLOWS, assignments: str = "") -> FlowConfig:
    """The flow `name`, with `assignments` (flows.overrides) where there are any.

    Raises InputError that names file, key and expectation.
    """
    path = flows / existing(name, flows) / "flow.toml"
    own = import_module(f"flows.{name}.config")
    raw = overrides.apply(load_toml(path), assignments)
    try:
        config = parse(name, raw, own.Config, path)
        _refuse_metric(config.gate.metric, getattr(own, "METRICS", {}), path)
    except InputError as error:
        if not assignments:
            raise
        raise InputError(f"with --overrides '{assignments}', {error.what}", error.mend) from None
    return msgspec.structs.replace(config, assignments=" ".join(assignments.split()))


def parse(name: str, raw: dict[str, Any], own: type[Table], path: Path) -> FlowConfig:
    """`raw`, a parsed flow.toml at `path`, checked against the frame and the flow's `own` options."""
    where = str(path)
    toml = convert(raw, _Toml, where)
    data, data_options = _split(toml.data, Data)
    serving, overrides = serving_config.parse(toml.serving, where)
    given = {"data": data_options, "preprocess": toml.preprocess}
    options = {part: _options(own, part, table, where) for part, table in given.items()}
    config = FlowConfig(
        name=name,
        description=toml.description,
        data=convert(data, Data, f"{where} [data]"),
        data_options=options["data"],
        preprocess=options["preprocess"],
        train=_train(own, toml.train, where),
        gate=toml.gate,
        query=_query(path.parent / str(data.get("query", "")), where),
        schedule=toml.schedule,
        timezone=_timezone(toml.timezone, where),
        retrain_on=toml.retrain_on,
        image=toml.image,
        resources=toml.resources,
        serving=serving,
        serving_overrides=overrides,
    )
    _refuse_unsafe(config, where)
    _refuse_contradictions(config, where)
    return config


def _refuse_metric(metric: str, known: Mapping[str, str], path: Path) -> None:
    """A metric that the flow's `evaluate` would not have is found before anything has run."""
    if not known:
        raise InputError(
            f"{path.parent / 'config.py'}: METRICS is missing, which says what the gate can use",
            'add for example: METRICS = {"mae": "MAE"}',
        )
    if metric not in known:
        nearest = hint(metric, known, "one")
        raise InputError(
            f"{path}: [gate] metric = '{metric}' is not one of this flow's; {nearest}",
            "the flow's config.py lists them as METRICS",
        )


def _split(table: dict[str, Any], kind: type[Table]) -> tuple[dict[str, Any], dict[str, Any]]:
    known = {field.encode_name for field in msgspec.structs.fields(kind)}
    own = {key: value for key, value in table.items() if key in known}
    return own, {key: value for key, value in table.items() if key not in known}


def _options(own: type[Table], part: str, table: dict[str, Any], where: str) -> dict[str, Any]:
    """The flow's own options for one table, defaults filled in."""
    kinds = {field.encode_name: field.type for field in msgspec.structs.fields(own)}
    kind = kinds.get(part)
    if kind is None:
        frame = {"data": [f.encode_name for f in msgspec.structs.fields(Data)]}.get(part, [])
        if table:
            unknown = next(iter(table))
            known = ", ".join(frame) or "none"
            raise InputError(f"{where}: unknown key '{unknown}' at [{part}]; known keys: {known}")
        return {}
    filled = convert(table, kind, f"{where} [{part}]")
    return _plain(filled)


def _train(own: type[Table], table: dict[str, Any], where: str) -> Train:
    """The train table: the frame's keys, and one table for each algorithm, all of them checked."""
    kinds = {field.encode_name: field.type for field in msgspec.structs.fields(own)}
    frame, tables = _split(table, Train)
    algorithms = convert(tables, kinds["train"], f"{where} [train]")
    train = convert(frame, Train, f"{where} [train]")
    known = [field.encode_name for field in msgspec.structs.fields(type(algorithms))]
    if train.algorithm not in known:
        raise InputError(
            f"{where}: [train] algorithm = '{train.algorithm}' is not one of this flow's",
            f"choose one of: {', '.join(known)}",
        )
    options = _plain(getattr(algorithms, train.algorithm))
    return Train(algorithm=train.algorithm, seed=train.seed, options=options)


def _plain(table: Table) -> dict[str, Any]:
    """The table as JSON has it: a tuple is a list, as a pipeline's parameters need it."""
    return msgspec.json.decode(msgspec.json.encode(table), type=dict[str, Any])


def _query(path: Path, where: str) -> str:
    try:
        return path.read_text()
    except OSError:
        raise InputError(
            f"{where}: [data] query names '{path.name}', which cannot be read",
            "name a file that lies beside flow.toml",
        ) from None


def _timezone(name: str, where: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise InputError(f"{where}: timezone '{name}' is not one of the IANA time zones") from None
    return name


def _refuse_unsafe(config: FlowConfig, where: str) -> None:
    """Options are written into JSON by the pipeline itself, which does not escape them."""
    tables = msgspec.to_builtins([config.data, config.data_options, config.preprocess])
    tables += msgspec.to_builtins([config.train, config.gate])
    for table in tables:
        for key, value in _strings(table):
            if Unsafe.search(value):
                raise InputError(
                    f"{where}: {key} = {value!r} holds a quote, a backslash or a control character",
                    "choose a name without them",
                )


def _refuse_contradictions(config: FlowConfig, where: str) -> None:
    """What each key alone cannot show: names of steps, and what serving refuses."""
    for name in config.resources:
        if name not in MACHINES:
            nearest = hint(name, MACHINES, "key")
            raise InputError(f"{where}: unknown key '{name}' at [resources]; {nearest}")
    for serving in (config.serving, *config.serving_overrides.values()):
        serving.check(where)


def _strings(table: dict[str, Any]) -> list[tuple[str, str]]:
    """Every text in a table, also in the lists and tables in it, with its key."""
    pairs = [
        (key, one)
        for key, value in table.items()
        for one in (value if isinstance(value, list) else [value])
    ]
    inner = [_strings(value) for _, value in pairs if isinstance(value, dict)]
    return [pair for pair in pairs if isinstance(pair[1], str)] + [p for found in inner for p in found]
