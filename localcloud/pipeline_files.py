"""Artifacts between Cloud Storage and a job's folder: what Vertex AI mounts as /gcs/."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import requests

API = "https://storage.googleapis.com"
TOKEN = "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token"  # noqa: S105
TIMEOUT = 600


class Mount:
    """`folder` stands for gs://: `folder/BUCKET/NAME` is what the step sees of gs://BUCKET/NAME."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self._session = requests.Session()
        # Its own environment, not this process's: the worker itself has no way to the cloud.
        self._session.trust_env = False
        self._session.proxies = {"https": environment["HTTPS_PROXY"], "http": environment["HTTP_PROXY"]}
        self._session.verify = environment["REQUESTS_CA_BUNDLE"]
        self._token = ""

    def push(self, uri: str) -> None:
        """Put an artifact's file, or all files below it, into its bucket."""
        local = self._local(uri)
        for path in [local] if local.is_file() else sorted(p for p in local.rglob("*") if p.is_file()):
            bucket, _, name = path.relative_to(self.folder).as_posix().partition("/")
            query = {"uploadType": "media", "name": name}
            url = f"{API}/upload/storage/v1/b/{bucket}/o"
            with path.open("rb") as body:
                self._call("POST", url, params=query, data=body).raise_for_status()

    def pull(self, uri: str) -> str:
        """Fetch an artifact, if it is there; returns where it is here."""
        for bucket, name in self._names(uri):
            path = self._local(f"gs://{bucket}/{name}")
            path.parent.mkdir(parents=True, exist_ok=True)
            url = f"{API}/download/storage/v1/b/{bucket}/o/{quote(name, safe='')}?alt=media"
            path.write_bytes(self._call("GET", url).content)
        return str(self._local(uri))

    def _names(self, uri: str) -> Iterator[tuple[str, str]]:
        bucket, _, wanted = uri.removeprefix("gs://").rstrip("/").partition("/")
        query: dict[str, str] = {"prefix": wanted}
        while True:
            page = self._call("GET", f"{API}/storage/v1/b/{bucket}/o", params=query).json()
            names = [str(one["name"]) for one in page.get("items", [])]
            yield from ((bucket, n) for n in names if n == wanted or _below(wanted, n))
            if "nextPageToken" not in page:
                return
            query["pageToken"] = page["nextPageToken"]

    def _local(self, uri: str) -> Path:
        return self.folder / uri.removeprefix("gs://").rstrip("/")

    def _call(self, method: str, url: str, **options: object) -> requests.Response:
        if not self._token:
            flavor = {"Metadata-Flavor": "Google"}
            answer = self._session.get(TOKEN, headers=flavor, timeout=TIMEOUT).json()
            self._token = answer["access_token"]
        headers = {"Authorization": f"Bearer {self._token}"}
        return self._session.request(method, url, headers=headers, timeout=TIMEOUT, **options)  # type: ignore[arg-type]


def _below(folder: str, name: str) -> bool:
    return name.startswith(f"{folder}/" if folder else "") and not name.endswith("/")
