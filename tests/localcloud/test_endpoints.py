"""Endpoints whose deployed models are real servers: deployed, asked, and taken away."""

import pytest

from localcloud.client import Client
from tests.localcloud.servers import Models

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def models(cloud: Client) -> Models:
    return Models(cloud)


def test_a_deployed_model_answers(models: Models) -> None:
    endpoint, model = models.endpoint(), models.upload()
    own = models.deployed(endpoint, model, {"0": 100}, id="17")
    answer = models.predict(endpoint, [1, 2.5, "ab"])
    assert answer == {
        "predictions": [2, 5.0, "abab"],
        "deployedModelId": own,
        "model": model.partition("@")[0],
        "modelDisplayName": "Doubles",
        "modelVersionId": "1",
    }
