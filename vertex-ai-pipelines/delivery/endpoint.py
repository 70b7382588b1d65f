"""A flow's endpoint on Vertex AI: what is deployed there, and with which share of the traffic."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from delivery import endpoint_state
from delivery.endpoint_state import Seen
from delivery.operations import Operations
from delivery.patience import CALL, passing, patient
from delivery.serving_names import Machine, deployed_id, endpoint_id, model_id
from delivery.settings import Environment
from flows import google_identity
from flows.errors import InputError, RetrainError

AGAIN = "deploy again"
NEW = "0"  # stands in a traffic split for the model that is being deployed


class UnhealthyError(RetrainError):
    """A model that could not be deployed; `id` is the deployed model's, whose container has a log."""

    def __init__(self, what: str, id: str) -> None:  # noqa: A002
        super().__init__(what)
        self.id = id


class Endpoint:
    """A flow's endpoint in an environment: its own, or the one that flow.toml adopts."""

    def __init__(self, environment: Environment, flow: str, adopted: str | None = None) -> None:
        from google.cloud.aiplatform_v1.services.endpoint_service import EndpointServiceClient

        api = {"api_endpoint": f"{environment.region}-aiplatform.googleapis.com"}
        own = google_identity.credentials()
        self._client = EndpointServiceClient(credentials=own, client_options=api)
        self._operations = Operations(self._client)
        self._parent, self._adopted = environment.location, adopted
        self._labels = {"flow": flow, "environment": environment.name}
        self._model = model_id(flow, environment.name)
        self.id = adopted or endpoint_id(flow, environment.name)
        self.name = f"{self._parent}/endpoints/{self.id}"

    def look(self) -> Seen | None:
        """What is there now; None where there is no endpoint.

        Raises InputError where the id is another flow's, or where an adopted endpoint is not there.
        """
        from google.api_core.exceptions import NotFound

        get = partial(self._client.get_endpoint, name=self.name, retry=None, timeout=CALL)
        try:
            found = patient(get)
        except NotFound:
            if self._adopted:
                mend = "make it, or take `endpoint` out of [serving] in flow.toml: then one is made"
                raise InputError(f"{self.name}: there is no such endpoint to adopt", mend) from None
            return None
        seen = endpoint_state.seen(found, self._model, self._labels)
        if not seen.is_own and not self._adopted:
            mend = f'if it is to serve this flow: endpoint = "{self.id}" below [serving] in flow.toml'
            raise InputError(f"{self.name} is there, and was not made for this flow", mend)
        return seen

    def settle(self) -> None:
        """Wait for all that is under way there."""
        self._operations.settle(self.name)

    def under_way(self) -> list[str]:
        """The names of what is under way there."""
        return self._operations.under_way(self.name)

    def create(self) -> None:
        """Make the endpoint; one that is there, or on its way, is success. Raises RetrainError."""
        made = {"display_name": self.id, "labels": self._labels}
        asked = {"parent": self._parent, "endpoint": made, "endpoint_id": self.id}

        def attempt() -> bool:
            self.settle()
            return self.look() is not None or self._tried(self._client.create_endpoint, asked)

        self._persist(attempt, "the endpoint could not be made")

    def deploy(
        self, name: tuple[str, str], machine: Machine, replicas: tuple[int, int], is_champion: bool
    ) -> None:
        """Deploy a registered version (`name`: ours and Vertex AI's number); wait until it is healthy.

        It gets no traffic, or all where it is the champion and nothing has any. Raises UnhealthyError
        where it does not become healthy: then everything is as it was.
        """
        from google.api_core.exceptions import GoogleAPICallError

        version, number = name
        own = deployed_id(version, machine)
        asked = {
            "endpoint": self.name,
            "deployed_model": self._deployment(version, number, machine, replicas),
        }

        def attempt() -> bool:
            self.settle()
            seen = self.look()
            if seen and any(one.id == own for one in seen.deployed):
                return True
            is_idle = not (seen and any(one.share for one in seen.deployed))
            split = {"traffic_split": {NEW: 100}} if is_champion and is_idle else {}
            return self._tried(self._client.deploy_model, {**asked, **split})

        try:
            self._persist(attempt, f"{version} could not be deployed")
        except GoogleAPICallError as error:
            raise UnhealthyError(
                f"{self.name}: {version} is not deployed: {error.message}", own
            ) from None

    def split(self, shares: Mapping[str, int], standby: Mapping[str, datetime]) -> None:
        """Set the whole traffic, by deployed model, and since when others wait, in one call.

        Everything is looked up again before: what has a share must be there and healthy, and the change
        is refused by Vertex AI where somebody else was faster. Raises RetrainError.
        """
        from google.api_core.exceptions import Aborted, FailedPrecondition

        wanted = {one: share for one, share in shares.items() if share}

        def attempt() -> bool:
            seen = self._there()
            labels = endpoint_state.labels(seen, shares, standby)
            present = {one.id: one.share for one in seen.deployed if one.share}
            if present == wanted and labels == dict(seen.labels):
                return True
            self._check(seen, wanted)
            changed = {
                "name": self.name,
                "traffic_split": wanted,
                "labels": labels,
                "etag": seen.etag,
            }
            asked = {"endpoint": changed, "update_mask": {"paths": ["traffic_split", "labels"]}}
            try:
                self._client.update_endpoint(request=asked, retry=None, timeout=CALL)
            except (Aborted, FailedPrecondition, *passing()) as error:
                return self._operations.put_off(f"UpdateEndpoint: {error}")
            return True

        self._persist(attempt, "its traffic could not be set")

    def resize(self, id: str, replicas: tuple[int, int]) -> None:  # noqa: A002
        """Change how many replicas a deployed model has, at least and at most."""
        least, most = replicas
        resources = {"min_replica_count": least, "max_replica_count": most}
        paths = [f"dedicated_resources.{field}" for field in resources]
        asked = {
            "endpoint": self.name,
            "deployed_model": {"id": id, "dedicated_resources": resources},
            "update_mask": {"paths": paths},
        }

        def attempt() -> bool:
            self.settle()
            found = next((one for one in self._there().deployed if one.id == id), None)
            if found is None or (found.least, found.most) == replicas:
                return True
            return self._tried(self._client.mutate_deployed_model, asked)

        self._persist(attempt, f"{id} could not be given {replicas} replicas")

    def undeploy(self, id: str) -> None:  # noqa: A002
        """Take a deployed model of ours without traffic away; one that is gone is success."""

        def attempt() -> bool:
            self.settle()
            found = next((one for one in self._there().deployed if one.id == id), None)
            if found is None:
                return True
            if found.share or not found.is_ours:
                raise RetrainError(
                    f"{self.name}: {id} has {found.share} % of the traffic, or is not ours"
                )
            asked = {"endpoint": self.name, "deployed_model_id": id}
            return self._tried(self._client.undeploy_model, asked)

        self._persist(attempt, f"{id} could not be undeployed")

    def _persist(self, attempt: Callable[[], bool], failed: str) -> None:
        self._operations.persist(attempt, f"{self.name}: {failed}")

    def _there(self) -> Seen:
        seen = self.look()
        if seen is None:
            raise RetrainError(f"{self.name} is gone", "was it deleted by hand? Deploy again")
        return seen

    def _tried(self, call: Callable[..., Any], asked: Mapping[str, Any]) -> bool:
        """Whether the operation that `call` begins has ended well; False where it may not have begun.

        Raises google.api_core's errors where it is refused or ends badly.
        """
        from google.api_core.exceptions import AlreadyExists, FailedPrecondition, from_grpc_status

        try:
            begun = call(request=asked, retry=None, timeout=CALL)
        except (AlreadyExists, FailedPrecondition, *passing()) as error:
            return self._operations.put_off(str(error.args[0] if error.args else error))
        ended = self._operations.ended(begun.operation.name)
        if ended.error.code:
            raise from_grpc_status(ended.error.code, ended.error.message)
        return True

    def _check(self, seen: Seen, shares: Mapping[str, int]) -> None:
        there = {one.id: one for one in seen.deployed}
        for one in shares:
            if one not in there or not there[one].is_healthy:
                what = "is not healthy" if one in there else "is not deployed"
                raise RetrainError(f"{self.name}: {one} {what}, and gets no traffic", AGAIN)
        if self._adopted and (busy := [one.id for one in seen.others if one.share]):
            raise InputError(
                f"{self.name}: {', '.join(busy)} was not deployed here and has traffic",
                "give it 0 % first, or let this flow have an endpoint of its own",
            )

    def _deployment(
        self, version: str, number: str, machine: Machine, replicas: tuple[int, int]
    ) -> dict[str, Any]:
        spec: dict[str, Any] = {"machine_type": machine.type}
        if machine.accelerator:
            spec |= {
                "accelerator_type": machine.accelerator,
                "accelerator_count": machine.accelerators,
            }
        least, most = replicas
        return {
            "id": deployed_id(version, machine),
            "display_name": version,
            "model": f"{self._parent}/models/{self._model}@{number}",
            "dedicated_resources": {
                "machine_spec": spec,
                "min_replica_count": least,
                "max_replica_count": most,
            },
        }
