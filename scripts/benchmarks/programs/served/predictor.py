"""The same ONNX model in Google's server for custom prediction routines."""

from pathlib import Path
from typing import Any

from google.cloud.aiplatform.prediction.predictor import Predictor
from google.cloud.aiplatform.utils import prediction_utils
from model import ONNX, Model


class OnnxPredictor(Predictor):
    """What Google's documents say to write."""

    def load(self, artifacts_uri: str, **_: Any) -> None:
        """Fetch the files, open the model."""
        prediction_utils.download_model_artifacts(artifacts_uri)
        self._model = Model(Path(ONNX))

    def predict(self, instances: dict[str, Any]) -> dict[str, Any]:
        """The request's body in, the answer's out."""
        return {"predictions": self._model.predict(instances["instances"])}
