"""Resource Manager: the one project, by id or by number, and its policy."""

from collections.abc import Mapping

from google.cloud.resourcemanager_v3 import types

from localcloud.cloud import Cloud
from localcloud.errors import ApiError
from localcloud.guard import guarded, policy_handlers
from localcloud.rpc import Caller, RpcHandler

DENIED = (
    "Permission '{permission}' denied on resource '//cloudresourcemanager.googleapis.com/{name}'"
    " (or it may not exist)."
)
NEEDS = {
    "GetProject": ("resourcemanager.projects.get", "name"),
    "GetIamPolicy": ("resourcemanager.projects.getIamPolicy", "resource"),
    "SetIamPolicy": ("resourcemanager.projects.setIamPolicy", "resource"),
}


class ResourceManager:
    """Answers what the SDKs ask of a project."""

    client = "google.cloud.resourcemanager_v3.services.projects"
    hosts = (r"cloudresourcemanager\.googleapis\.com",)

    def __init__(self, cloud: Cloud) -> None:
        self._cloud, self._world = cloud, cloud.world

    def handlers(self) -> Mapping[str, RpcHandler]:
        """The calls that are served."""
        policies = policy_handlers(self._cloud, self._check)
        return guarded(self._cloud, {"GetProject": self.get_project, **policies}, NEEDS, DENIED)

    def get_project(self, request: types.GetProjectRequest, _: Caller) -> types.Project:
        """The project's id, number and state."""
        self._check(request.name)
        world = self._world
        return types.Project(
            name=f"projects/{world.project_number}",
            project_id=world.project,
            display_name=world.project,
            state=types.Project.State.ACTIVE,
        )

    def _check(self, name: str) -> None:
        world = self._world
        if name not in (f"projects/{world.project}", f"projects/{world.project_number}"):
            raise ApiError("PERMISSION_DENIED", f"The caller does not have permission on {name}")
