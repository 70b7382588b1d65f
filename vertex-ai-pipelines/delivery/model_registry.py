"""Vertex AI's Model Registry: every version of a flow's model that was released in an environment."""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

from delivery.operations import Operations
from delivery.patience import CALL, passing, patient
from delivery.releases import Model
from delivery.serving_names import model_id
from delivery.settings import Environment
from flows import google_identity
from flows.errors import RetrainError
from flows.manifest import Manifest

CHAMPION, CHALLENGER, DEFAULT = (
    "champion",
    "challenger",
    "default",
)  # aliases; the last one is Vertex AI's
COMMAND, PORT, PREDICT, HEALTH = ("python", "-m", "flows", "serve"), 8080, "/predict", "/health"
HASH = "MANIFEST_SHA256"  # the server's variable: the manifest that it may trust


class Registered(NamedTuple):
    """One version: ours by name, Vertex AI's by number, and what it was made of.

    `files` is where an endpoint finds them (gs://…): "" where it was registered for no endpoint.
    """

    version: str
    number: str
    manifest: str
    sha256: str
    image: str
    aliases: frozenset[str]
    files: str = ""


class ModelRegistry:
    """A flow's model in an environment's Model Registry."""

    def __init__(self, environment: Environment, flow: str) -> None:
        self._client = _client(environment)
        self._operations = Operations(self._client)
        self._parent, self._flow, self._environment = environment.location, flow, environment.name
        self.id = model_id(flow, environment.name)
        self.name = f"{self._parent}/models/{self.id}"

    def versions(self) -> list[Registered]:
        """Its versions, the newest first; none where no version was ever released.

        Of two that are one by name, made by an upload that arrived twice, the first counts.
        """
        from google.api_core.exceptions import NotFound

        def listed() -> list[Any]:
            asked = {"name": self.name}
            return list(self._client.list_model_versions(request=asked, retry=None, timeout=CALL))

        try:
            found = patient(listed)
        except NotFound:
            return []
        named = [one for one in map(_registered, found) if one]
        newest = sorted(named, key=lambda one: int(one.number), reverse=True)
        return list({one.version: one for one in newest}.values())

    def version(self, text: str) -> Registered | None:
        """The version of that name."""
        return next((one for one in self.versions() if one.version == text), None)

    def settle(self) -> None:
        """Wait for uploads that are under way."""
        self._operations.settle(self.name)

    def under_way(self) -> list[str]:
        """The names of the uploads that are under way."""
        return self._operations.under_way(self.name)

    def register(self, model: Model, folder: str) -> Registered:
        """The version of `model`, registered now or before; its files are in `folder` (gs://…, or none).

        UploadModel takes no key by which a second one would be known: so what is under way is waited for
        and what is there is looked up, before each attempt. Raises RetrainError where it is refused.
        """
        found: list[Registered] = []

        def attempt() -> bool:
            self.settle()
            there = self.versions()
            found.extend(one for one in there if one.version == model.version)
            return bool(found) or self._upload(model, folder, is_first=not there)

        self._operations.persist(attempt, f"{self.name}: {model.version} could not be registered")
        registered = found[0] if found else self.version(model.version)
        if registered is None:
            raise RetrainError(f"{self.name}: {model.version} is not there, although it was registered")
        return registered

    def evaluated(self, one: Registered) -> bool:
        """Whether the version has its metrics."""
        parent = f"{self.name}@{one.number}"
        found = patient(
            partial(self._client.list_model_evaluations, parent=parent, retry=None, timeout=CALL)
        )
        return any(evaluation.display_name == one.version for evaluation in found)

    def evaluate(self, one: Registered, manifest: Manifest, schema: str) -> None:
        """Give the version its metrics, once; `schema` (gs://…) describes them."""
        metrics = {name: value for name, value in manifest.metrics.items() if value is not None}
        made = {"display_name": one.version, "metrics_schema_uri": schema, "metrics": metrics}
        asked = {"parent": f"{self.name}@{one.number}", "model_evaluation": made}

        def attempt() -> bool:
            try:
                if not self.evaluated(one):
                    self._client.import_model_evaluation(request=asked, retry=None, timeout=CALL)
            except passing() as error:
                return self._operations.put_off(f"ImportModelEvaluation of {one.version}: {error}")
            return True

        self._operations.persist(attempt, f"{self.name}: {one.version} could not be given its metrics")

    def point(self, numbers: Mapping[str, Iterable[str]]) -> None:
        """Give versions, by number, aliases, or take them away ("-champion"): each is at one version."""
        for number, aliases in numbers.items():
            asked = {"name": f"{self.name}@{number}", "version_aliases": sorted(aliases)}
            patient(partial(self._client.merge_version_aliases, request=asked, retry=None, timeout=CALL))

    def _upload(self, model: Model, folder: str, is_first: bool) -> bool:
        """Whether the upload has ended well; False where nobody knows whether it was begun."""
        from google.api_core.exceptions import AlreadyExists, GoogleAPICallError

        under = {"model_id": self.id} if is_first else {"parent_model": self.name}
        asked = {"parent": self._parent, "model": self._described(model, folder), **under}
        try:
            begun = self._client.upload_model(request=asked, retry=None, timeout=CALL)
        except (AlreadyExists, *passing()) as error:
            return self._operations.put_off(f"UploadModel of {model.version}: {error}")
        except GoogleAPICallError as error:
            raise self._refused(model, error.message) from None
        if (ended := self._operations.ended(begun.operation.name)).error.message:
            raise self._refused(model, ended.error.message)
        return True

    def _refused(self, model: Model, why: str) -> RetrainError:
        mend = f"may Vertex AI's service agent read the image {model.image} and the files?"
        return RetrainError(f"{self.name}: {model.version} is refused: {why}", mend)

    def _described(self, model: Model, folder: str) -> dict[str, Any]:
        facts = {"manifest": model.manifest, "sha256": model.sha256, "image": model.image}
        facts |= {"files": folder} if folder else {}
        lines = [f"{self._flow} {model.version}", *(f"{key} {value}" for key, value in facts.items())]
        return {
            "display_name": self.id,
            "description": f"{self._flow} in {self._environment}: releases/ says what of it serves",
            "version_description": "\n".join(lines),
            "version_aliases": [model.version],
            "labels": {
                "flow": self._flow,
                "environment": self._environment,
                "version": model.version,
                "sha256": model.sha256[:12],
                "image": model.image.rpartition(":")[2][:12],
            },
            "artifact_uri": folder,
            "container_spec": {
                "image_uri": model.image,
                "command": list(COMMAND),
                "env": [{"name": HASH, "value": model.sha256}],
                "ports": [{"container_port": PORT}],
                "predict_route": PREDICT,
                "health_route": HEALTH,
            },
        }


def images(environment: Environment) -> set[str]:
    """The images of all versions that were registered here, of every flow."""
    client, where = _client(environment), f'labels.environment="{environment.name}"'
    asked = {"parent": environment.location, "filter": where}

    def listed() -> list[Any]:
        models = client.list_models(request=asked, retry=None, timeout=CALL)
        return [
            version
            for model in models
            for version in client.list_model_versions(name=model.name, retry=None, timeout=CALL)
        ]

    return {one.image for one in map(_registered, patient(listed)) if one}


def _client(environment: Environment) -> Any:
    from google.cloud.aiplatform_v1.services.model_service import ModelServiceClient

    api = {"api_endpoint": f"{environment.region}-aiplatform.googleapis.com"}
    return ModelServiceClient(credentials=google_identity.credentials(), client_options=api)


def _registered(found: Any) -> Registered | None:
    """A version as its description says; None for one that was not registered here."""
    head, *lines = str(found.version_description).splitlines() or [""]
    facts = dict(line.split(" ", 1) for line in lines if " " in line)
    if not {"manifest", "sha256", "image"} <= facts.keys():
        return None
    return Registered(
        version=head.rpartition(" ")[2],
        number=str(found.version_id),
        manifest=facts["manifest"],
        sha256=facts["sha256"],
        image=facts["image"],
        aliases=frozenset(found.version_aliases),
        files=facts.get("files", ""),
    )
