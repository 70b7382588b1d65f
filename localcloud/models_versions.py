"""The Model Registry's records: models, their versions, and the aliases by which versions are found."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, TypeAlias

from google.cloud.aiplatform_v1 import types

from localcloud.cloud import Cloud
from localcloud.errors import ApiError
from localcloud.serving_names import etag, of_row, to_row

Model: TypeAlias = types.Model
Row = dict[str, Any]
DEFAULT = "default"  # the alias that some version always has
OF_MODEL = ("display_name", "description")  # the same for all of a model's versions


class Versions:
    """Records: "model" by name; "model-version" by name@NUMBER, its aliases in the Model itself."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud, self._store = cloud, cloud.store

    # -------------------------------------------------------------- find

    def row(self, name: str) -> Row:
        """A model's record; what stands behind an @ does not matter. Raises NOT_FOUND."""
        found = self._store.get("model", self.own(name))
        if found is None:
            raise ApiError("NOT_FOUND", f"The Model {self.own(name)} does not exist.")
        return found

    def display_name(self, name: str) -> str:
        """A model's display name, as it is now; empty where the model went."""
        found = self._store.get("model", self.own(name)) or {}
        return str(found.get("display_name", ""))

    def own(self, name: str) -> str:
        """A model's name with the project by number, and without a version."""
        return self._cloud.iam.resource(name).partition("@")[0]

    def find(self, name: str) -> Model:
        """The version that `name` means: by @NUMBER or @ALIAS, or the default one. Raises NOT_FOUND."""
        self.row(name)
        given = name.partition("@")[2]
        wanted = DEFAULT if given in ("", "-") else given
        for one in self.of(name):
            if wanted == one.version_id or wanted in one.version_aliases:
                return one
        full = self._cloud.iam.resource(name)
        raise ApiError("NOT_FOUND", f"The Model version {full} does not exist.")

    def of(self, name: str) -> list[Model]:
        """All versions of a model, oldest first."""
        found = self._store.list("model-version", f"{self.own(name)}@")
        return [_model(row) for _, row in found]

    def names(self, parent: str) -> list[str]:
        """The models below a location."""
        return [name for name, _ in self._store.list("model", f"{parent}/models/")]

    # -------------------------------------------------------------- change

    def make(self, name: str, wanted: Model) -> Row:
        """A new model, without a version yet. Raises ALREADY_EXISTS."""
        if self._store.get("model", name):
            raise ApiError("ALREADY_EXISTS", f"The Model {name} already exists.")
        row = {"name": name, "versions": 0, "labels": {}, "created": self._cloud.now()}
        self._store.put("model", name, row | _of_model(wanted))
        return row

    def add(self, name: str, wanted: Model) -> Model:
        """The next version of a model, which is there. Its aliases move to it."""
        row = self.row(name)
        row |= {"versions": row["versions"] + 1, "updated": self._cloud.now(), **_of_model(wanted)}
        self._store.put("model", row["name"], row)
        made, now = Model(wanted), datetime.now(UTC)
        made.name, made.version_id = row["name"], str(row["versions"])
        made.version_create_time = made.version_update_time = now
        made.supported_deployment_resources_types = [Model.DeploymentResourcesType.DEDICATED_RESOURCES]
        made.version_aliases = []
        self.put(made)
        first = [DEFAULT] if not self._has_default(name) else []
        return self.merge(made, [*first, *wanted.version_aliases])

    def merge(self, version: Model, aliases: Iterable[str]) -> Model:
        """Give a version aliases, which others lose; take away those that begin with a minus."""
        given = set(aliases)
        added = {one for one in given if not one.startswith("-") and f"-{one}" not in given}
        removed = {one[1:] for one in given if one.startswith("-") and one[1:] not in given}
        if DEFAULT in removed and DEFAULT in version.version_aliases:
            words = "The alias 'default' cannot be removed: give it to another version."
            raise ApiError("INVALID_ARGUMENT", words)
        for other in self.of(version.name):
            lost = added & set(other.version_aliases)
            if lost and other.version_id != version.version_id:
                other.version_aliases = [one for one in other.version_aliases if one not in lost]
                self.put(other)
        kept = {*version.version_aliases, *added} - removed
        version.version_aliases = sorted(kept, key=lambda one: (one != DEFAULT, one))
        return self.touch(version)

    def touch(self, version: Model) -> Model:
        """Write a version that was changed."""
        version.version_update_time = datetime.now(UTC)
        self.put(version)
        return version

    def change(self, name: str, changes: Row) -> None:
        """Change what holds for all versions of a model."""
        row = self.row(name) | changes | {"updated": self._cloud.now()}
        self._store.put("model", row["name"], row)

    def put(self, version: Model) -> None:
        """Write a version."""
        self._store.put("model-version", _key(version.name, version.version_id), to_row(version))

    def forget(self, name: str, version: str = "") -> None:
        """Remove one version, or a model with all."""
        for one in self.of(name):
            if version in ("", one.version_id):
                self._store.delete("model-version", _key(self.own(name), one.version_id))
        if not version:
            self._store.delete("model", self.own(name))
            self._cloud.iam.forget(self.own(name))

    def _has_default(self, name: str) -> bool:
        return any(DEFAULT in one.version_aliases for one in self.of(name))

    # -------------------------------------------------------------- show

    def shown(self, version: Model, with_version: bool) -> Model:
        """A version as a client sees it: with what its model has, and where it is deployed."""
        row, made = self.row(version.name), Model(version)
        made.name, made.etag = row["name"], ""
        made.display_name, made.description = row["display_name"], row["description"]
        made.labels = {**row["labels"], **version.labels}
        made.create_time = datetime.fromisoformat(row["created"])
        made.update_time = datetime.fromisoformat(row["updated"])
        made.etag = etag(made)  # a deployment changes no model
        made.name += f"@{version.version_id}" if with_version else ""
        made.deployed_models = self.deployed(version)
        return made

    def deployed(self, version: Model) -> list[types.DeployedModelRef]:
        """Where a version is deployed."""
        place = version.name.partition("/models/")[0]
        return [
            types.DeployedModelRef(endpoint=endpoint, deployed_model_id=one["id"])
            for endpoint, row in self._store.list("endpoint", f"{place}/endpoints/")
            for one in row.get("deployedModels", [])
            if (one["model"], one["modelVersionId"]) == (version.name, version.version_id)
        ]


def _of_model(wanted: Model) -> Row:
    return {name: getattr(wanted, name) for name in OF_MODEL}


def _key(name: str, version: str) -> str:
    return f"{name}@{int(version):06d}"


def _model(row: Row) -> Model:
    made: Model = of_row(Model, row)
    return made
