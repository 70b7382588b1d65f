"""Resource Manager: the one project, by id or by number."""

from collections.abc import Mapping

from google.cloud.resourcemanager_v3 import types

from localcloud.cloud import Cloud
from localcloud.errors import ApiError
from localcloud.rpc import Caller, RpcHandler


class ResourceManager:
    """Answers what the SDKs ask of a project."""

    client = "google.cloud.resourcemanager_v3.services.projects"
    hosts = (r"cloudresourcemanager\.googleapis\.com",)

    def __init__(self, cloud: Cloud) -> None:
        self._world = cloud.world

    def handlers(self) -> Mapping[str, RpcHandler]:
        """The calls that are served."""
        return {"GetProject": self.get_project}

    def get_project(self, request: types.GetProjectRequest, _: Caller) -> types.Project:
        """The project's id, number and state."""
        world = self._world
        if request.name not in (f"projects/{world.project}", f"projects/{world.project_number}"):
            raise ApiError("PERMISSION_DENIED", f"The caller does not have permission on {request.name}")
        return types.Project(
            name=f"projects/{world.project_number}",
            project_id=world.project,
            display_name=world.project,
            state=types.Project.State.ACTIVE,
        )
