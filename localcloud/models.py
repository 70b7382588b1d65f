"""Vertex AI's Model Registry: models, their versions and aliases, and what was measured of them."""

from collections.abc import Mapping
from typing import Any

from google.api_core.operation import operations_pb2
from google.cloud.aiplatform_v1 import types

from localcloud.cloud import Cloud
from localcloud.errors import ApiError
from localcloud.guard import guarded
from localcloud.masks import updated
from localcloud.models_artifacts import Artifacts, place
from localcloud.models_checks import check_merge, check_upload
from localcloud.models_evaluations import Evaluations
from localcloud.models_versions import DEFAULT, Model, Versions
from localcloud.operations import Operations
from localcloud.paging import answer
from localcloud.rpc import Caller, RpcHandler
from localcloud.serving_names import DENIED, HOSTS, check_labels, generic, invalid, location, number

PAGE = 100
# What a filter may name beside the fields of a Model.
FILTERS: dict[str, Any] = {"model": lambda one: one.name.rsplit("/", 1)[1].partition("@")[0]}
OF_MODEL, OF_VERSION = {"display_name", "description"}, {"version_description"}
NEEDS = {
    "UploadModel": ("aiplatform.models.upload", "parent"),
    "GetModel": ("aiplatform.models.get", "name"),
    "ListModels": ("aiplatform.models.list", "parent"),
    "ListModelVersions": ("aiplatform.models.list", "name"),
    "UpdateModel": ("aiplatform.models.update", "model.name"),
    "MergeVersionAliases": ("aiplatform.models.update", "name"),
    "DeleteModel": ("aiplatform.models.delete", "name"),
    "DeleteModelVersion": ("aiplatform.models.delete", "name"),
    "ImportModelEvaluation": ("aiplatform.modelEvaluations.import", "parent"),
    "GetModelEvaluation": ("aiplatform.modelEvaluations.get", "name"),
    "ListModelEvaluations": ("aiplatform.modelEvaluations.list", "parent"),
}


class Models:
    """ModelService. Records are those of Versions and Evaluations."""

    client = "google.cloud.aiplatform_v1.services.model_service"
    hosts = HOSTS

    def __init__(self, cloud: Cloud) -> None:
        self._cloud, self._store = cloud, cloud.store
        self._versions, self._artifacts = Versions(cloud), Artifacts(cloud)
        self._evaluations = Evaluations(cloud, self._versions)
        self._operations = Operations(cloud)

    def handlers(self) -> Mapping[str, RpcHandler]:
        """The calls that are served."""
        handlers: dict[str, RpcHandler] = {
            "UploadModel": self.upload,
            "GetModel": self.get,
            "ListModels": self.list,
            "ListModelVersions": self.list_versions,
            "UpdateModel": self.update,
            "MergeVersionAliases": self.merge_aliases,
            "DeleteModel": self.delete,
            "DeleteModelVersion": self.delete_version,
            "ImportModelEvaluation": self._evaluations.add,
            "GetModelEvaluation": self._evaluations.get,
            "ListModelEvaluations": self._evaluations.list,
        }
        return guarded(self._cloud, handlers, NEEDS, DENIED)

    def upload(self, request: types.UploadModelRequest, _: Caller) -> operations_pb2.Operation:
        """Register a model, or the next version of one; a version has its own copy of the artifacts."""
        parent = location(self._cloud, request.parent)
        check_upload(request)
        named = self._versions.own(request.parent_model)
        name = named or f"{parent}/models/{request.model_id or number(self._cloud, 'model')}"
        with self._store.transaction():
            if request.parent_model:
                self._versions.row(name)
            else:
                self._versions.make(name, request.model)
            operation = self._operations.start(name, self._begun("UploadModel"))
            try:
                version = self._add(name, request.model)
            except ApiError as error:
                if not request.parent_model:
                    self._versions.forget(name)
                return self._operations.finish(operation.name, error=error)
            made = types.UploadModelResponse(model=name, model_version_id=version.version_id)
            return self._operations.finish(operation.name, made)

    def _add(self, name: str, wanted: Model) -> Model:
        number_ = self._versions.row(name)["versions"] + 1
        if wanted.artifact_uri:
            self._artifacts.copy(wanted.artifact_uri, place(name, number_))
        return self._versions.add(name, wanted)

    def get(self, request: types.GetModelRequest, _: Caller) -> Model:
        """A version by number or alias, or the default one."""
        return self._versions.shown(self._versions.find(request.name), "@" in request.name)

    def list(self, request: types.ListModelsRequest, _: Caller) -> types.ListModelsResponse:
        """The default versions of a location's models, newest first."""
        names = self._versions.names(location(self._cloud, request.parent))
        found = [self._versions.shown(self._versions.find(name), False) for name in names]
        found.sort(key=lambda one: one.create_time, reverse=True)
        return answer(request, types.ListModelsResponse, found, PAGE, FILTERS)

    def list_versions(self, request: types.ListModelVersionsRequest, _: Caller) -> Any:
        """The versions of a model, newest first."""
        self._versions.row(request.name)
        found = [self._versions.shown(one, True) for one in reversed(self._versions.of(request.name))]
        return answer(request, types.ListModelVersionsResponse, found, PAGE, FILTERS)

    def update(self, request: types.UpdateModelRequest, _: Caller) -> Model:
        """Change a model, or one version of it; never both in one call."""
        name = request.model.name
        is_version = "@" in name and not name.endswith("@-")
        with self._store.transaction():
            version = self._versions.find(name)
            row = self._versions.row(name)
            self._check_etag(request.model, version)
            known = Model(version) if is_version else Model(version, labels=row["labels"])
            made, changed = updated(known, request.model, request.update_mask)
            wrong = {one.partition(".")[0] for one in changed}
            wrong -= {"labels", "etag", *(OF_VERSION if is_version else OF_MODEL)}
            if wrong:
                what = "a version of a model" if is_version else "a model"
                words = f"{', '.join(sorted(wrong))} cannot be updated on {what}."
                raise ApiError("FAILED_PRECONDITION", words)
            if problems := list(check_labels(made.labels, "model.labels")):
                raise invalid(problems)
            if is_version:
                version = self._versions.touch(made)
            else:
                own = {one: getattr(made, one) for one in OF_MODEL & set(changed)}
                self._versions.change(name, own | {"labels": dict(made.labels)})
            return self._versions.shown(version, is_version)

    def merge_aliases(self, request: types.MergeVersionAliasesRequest, _: Caller) -> Model:
        """Give a version aliases and take some away."""
        if "@" not in request.name:
            words = f"The name must have a version: {request.name}@VERSION."
            raise ApiError("INVALID_ARGUMENT", words)
        check_merge(list(request.version_aliases))
        with self._store.transaction():
            version = self._versions.find(request.name)
            return self._versions.shown(self._versions.merge(version, request.version_aliases), True)

    def delete(self, request: types.DeleteModelRequest, _: Caller) -> operations_pb2.Operation:
        """Remove a model with all its versions, unless one is deployed."""
        name = self._versions.own(request.name)
        if "@" in request.name:
            words = f"{request.name} is a version of a Model: DeleteModelVersion deletes it."
            raise ApiError("INVALID_ARGUMENT", words)
        with self._store.transaction():
            self._versions.row(name)
            found = self._versions.of(name)
            for one in found:
                self._check_idle(one)
            self._versions.forget(name)
            for one in found:
                self._forget(one)
        return self._operations.done(name, metadata=self._begun("Delete"))

    def delete_version(self, request: types.DeleteModelVersionRequest, _: Caller) -> Any:
        """Remove a version, unless it is the default one, or deployed."""
        with self._store.transaction():
            version = self._versions.find(request.name)
            if "@" not in request.name or DEFAULT in version.version_aliases:
                words = f"The default version of a model cannot be deleted: {request.name}."
                raise ApiError("FAILED_PRECONDITION", words)
            self._check_idle(version)
            self._versions.forget(version.name, version.version_id)
            self._forget(version)
        return self._operations.done(version.name, metadata=self._begun("Delete"))

    def _check_etag(self, wanted: Model, version: Model) -> None:
        """Raises ABORTED where a client changes what it does not know."""
        known = self._versions.shown(version, False).etag
        if wanted.etag not in ("", known):
            words = f"The etag of {wanted.name} is {known}; the Model was changed meanwhile."
            raise ApiError("ABORTED", words)

    def _forget(self, version: Model) -> None:
        self._artifacts.forget(place(version.name, int(version.version_id)))
        self._evaluations.forget(version)

    def _check_idle(self, version: Model) -> None:
        if used := self._versions.deployed(version):
            where = ", ".join(sorted({one.endpoint for one in used}))
            words = f'The Model "{version.name}@{version.version_id}" is deployed'
            raise ApiError("FAILED_PRECONDITION", f"{words} at the following Endpoint(s): {where}.")

    @staticmethod
    def _begun(kind: str) -> Any:
        return getattr(types, f"{kind}OperationMetadata")(generic_metadata=generic())
