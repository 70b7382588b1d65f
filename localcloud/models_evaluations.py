"""What was measured of a model's versions."""

from datetime import UTC, datetime
from typing import Any, TypeAlias

from google.cloud.aiplatform_v1 import types

from localcloud.cloud import Cloud
from localcloud.errors import ApiError
from localcloud.models_versions import Model, Versions
from localcloud.paging import answer
from localcloud.rpc import Caller
from localcloud.serving_names import number, of_row, to_row

Evaluation: TypeAlias = types.ModelEvaluation
PAGE = 100


class Evaluations:
    """Records: "model-evaluation" by MODEL@VERSION/evaluations/ID."""

    def __init__(self, cloud: Cloud, versions: Versions) -> None:
        self._cloud, self._store, self._versions = cloud, cloud.store, versions

    def add(self, request: types.ImportModelEvaluationRequest, _: Caller) -> Evaluation:
        """An evaluation that was made elsewhere."""
        below = self._below(self._versions.find(request.parent))
        made = Evaluation(request.model_evaluation)
        made.name, made.create_time = f"{below}{number(self._cloud, 'evaluation')}", datetime.now(UTC)
        self._store.put("model-evaluation", made.name, to_row(made))
        return made

    def get(self, request: types.GetModelEvaluationRequest, _: Caller) -> Evaluation:
        """One evaluation. Raises NOT_FOUND."""
        model, _sign, own = request.name.partition("/evaluations/")
        name = f"{self._below(self._versions.find(model))}{own}"
        row = self._store.get("model-evaluation", name)
        if row is None:
            raise ApiError("NOT_FOUND", f"The ModelEvaluation {name} does not exist.")
        return _evaluation(row)

    def list(self, request: types.ListModelEvaluationsRequest, _: Caller) -> Any:
        """The evaluations of a version, oldest first."""
        below = self._below(self._versions.find(request.parent))
        found = [_evaluation(row) for _, row in self._store.list("model-evaluation", below)]
        return answer(request, types.ListModelEvaluationsResponse, found, PAGE)

    def forget(self, version: Model) -> None:
        """Remove those of a version."""
        for name, _ in self._store.list("model-evaluation", self._below(version)):
            self._store.delete("model-evaluation", name)

    @staticmethod
    def _below(version: Model) -> str:
        return f"{version.name}@{version.version_id}/evaluations/"


def _evaluation(row: dict[str, Any]) -> Evaluation:
    made: Evaluation = of_row(Evaluation, row)
    return made
