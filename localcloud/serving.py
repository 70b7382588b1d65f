"""Vertex AI's endpoints as a whole: their service, their predictions, and what is counted of these."""

from localcloud.cloud import Cloud
from localcloud.endpoints import Endpoints
from localcloud.monitoring import Monitoring
from localcloud.monitoring_points import Points
from localcloud.predictions import Predictions
from localcloud.registry import Registry
from localcloud.rpc import RpcService


class Serving:
    """What starts and ends together."""

    def __init__(self, cloud: Cloud, registry: Registry) -> None:
        self._endpoints, self._points = Endpoints(cloud, registry), Points(cloud.store)
        predictions = Predictions(cloud, self._endpoints, self._points)
        self.services: list[RpcService] = [predictions, self._endpoints]
        self.monitoring = Monitoring(cloud, self._points)

    def start(self) -> None:
        """Start the servers of what is deployed."""
        self._endpoints.start()

    def busy(self) -> bool:
        """Whether something is being deployed or undeployed."""
        return self._endpoints.busy()

    def close(self) -> None:
        """End all servers, and write what was counted."""
        self._endpoints.close()
        self._points.close()
