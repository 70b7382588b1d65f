"""Makes localcloud/schemas/*.json from the vendors' own descriptions of their interfaces.

    .venv/bin/python -m tests.fidelity.make_schemas          Google's, from google-api-python-client
    .venv/bin/python -m tests.fidelity.make_schemas --github and GitHub's, from npm (29 MB, checked)

Only names, types and what is required are kept: what the local cloud checks requests and answers by.
"""

import base64
import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from localcloud.described import FOLDER, normal
from localcloud.github.routes import paths

OPENAPI = "@octokit/openapi@23.0.2"
# sha512 of the package, as npm publishes it
INTEGRITY = "pV8M7L9GY23AybNvTmo2nyjmpmnt6+2sRE/tqr0ZLQcPS4lnw7u5eZGNmwRNkBC3D7gZXbFx5AHzLUVRBXGDhg=="
GOOGLE = {
    "storage": "storage.v1",
    "bigquery": "bigquery.v2",
    "iam": "iam.v1",
    "iamcredentials": "iamcredentials.v1",
    "sts": "sts.v1",
    "logging": "logging.v2",
    "monitoring": "monitoring.v3",
}
KEPT = {
    "$ref",
    "additionalProperties",
    "allOf",
    "anyOf",
    "enum",
    "format",
    "items",
    "oneOf",
    "properties",
}
KEPT |= {"required", "type", "nullable"}

Tree = dict[str, Any]


def trimmed(schema: Any, names: bool = False) -> Any:
    """A schema without its words; `names`: the keys of this table are fields."""
    if isinstance(schema, list):
        return [trimmed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if names:
        return {key: trimmed(value) for key, value in schema.items()}
    kept = {key: value for key, value in schema.items() if key in KEPT}
    return {key: _value(key, value) for key, value in kept.items()}


def _value(key: str, value: Any) -> Any:
    if key == "$ref":
        return value.rsplit("/", 1)[-1]
    # In Google's documents `required` is a switch of a parameter, which stands elsewhere here.
    return value if key == "enum" else trimmed(value, key == "properties")


def dumped(made: Tree) -> str:
    """The file's text: one line for each method and schema, so that a change can be read."""
    parts = []
    for key, value in made.items():
        if isinstance(value, dict):
            lines = [
                f"  {json.dumps(k)}: {json.dumps(v, sort_keys=True)}" for k, v in sorted(value.items())
            ]
            parts.append(f"{json.dumps(key)}: {{\n" + ",\n".join(lines) + "\n}")
        else:
            parts.append(f"{json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def google(name: str) -> Tree:
    """A discovery document's digest."""
    folder = resources.files("googleapiclient") / "discovery_cache" / "documents"
    document = json.loads((folder / f"{GOOGLE[name]}.json").read_text())
    methods = {one["id"]: _google_method(document, one) for one in _methods(document)}
    schemas = {key: trimmed(value) for key, value in document["schemas"].items()}
    return {"source": f"{GOOGLE[name]} {document['revision']}", "methods": methods, "schemas": schemas}


def _methods(resource: Tree) -> Iterator[Tree]:
    yield from resource.get("methods", {}).values()
    for below in resource.get("resources", {}).values():
        yield from _methods(below)


def _google_method(document: Tree, method: Tree) -> Tree:
    path = f"/{document['servicePath']}{method.get('flatPath', method['path'])}"
    query = {k: v for k, v in method.get("parameters", {}).items() if v["location"] == "query"}
    upload = method.get("mediaUpload", {}).get("protocols", {}).get("simple", {}).get("path")
    download = f"/download{path}" if method.get("useMediaDownloadService") else None
    return {
        "verb": method["httpMethod"],
        "paths": [one for one in (path, upload, download) if one],
        "query": {
            k: trimmed(v) | ({"repeated": True} if v.get("repeated") else {}) for k, v in query.items()
        },
        "needs": [k for k, v in query.items() if v.get("required")],
        "body": trimmed(method.get("request")),
        "answers": {"200": trimmed(method.get("response"))},
    }


def github(document: Tree) -> Tree:
    """The digest of GitHub's OpenAPI description: the calls that are served, and their schemas."""
    known = {
        (verb, normal(path)): (path, item) for path, item in document["paths"].items() for verb in item
    }
    methods = {}
    for verb, path in paths():
        if (found := known.get((verb.lower(), normal(path)))) is not None:
            operation = found[1][verb.lower()]
            methods[operation["operationId"]] = _github_method(document, verb, found[0], operation)
    schemas: Tree = {}
    _collect(document, methods, schemas)
    return {"source": f"{OPENAPI} {document['info']['version']}", "methods": methods, "schemas": schemas}


def _github_method(document: Tree, verb: str, path: str, operation: Tree) -> Tree:
    parameters = [_followed(document, one) for one in operation.get("parameters", [])]
    query = {one["name"]: one for one in parameters if one["in"] == "query"}
    body = _json(operation.get("requestBody", {}))
    answers = {k: _json(_followed(document, v)) for k, v in operation["responses"].items()}
    return {
        "verb": verb,
        "paths": [path],
        "query": {name: trimmed(one["schema"]) for name, one in query.items()},
        "needs": [name for name, one in query.items() if one.get("required")],
        "body": body,
        "answers": answers,
    }


def _json(part: Tree) -> Any:
    content = part.get("content", {})
    kind = next((one for one in ("application/json", "application/scim+json") if one in content), "")
    return trimmed(content[kind].get("schema")) if kind else None


def _followed(document: Tree, part: Tree) -> Tree:
    for name in part.get("$ref", "#").split("/")[1:]:
        document = document[name]
    return document if "$ref" in part else part


def _collect(document: Tree, part: Any, schemas: Tree) -> None:
    """Every schema that is named in `part`, and those named in them."""
    for name in re.findall(r'"\$ref": "([^"]+)"', json.dumps(part)):
        if name not in schemas:
            schemas[name] = trimmed(document["components"]["schemas"][name])
            _collect(document, schemas[name], schemas)


def openapi() -> Tree:
    """GitHub's description, by npm; its hash is checked."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", "--silent", OPENAPI], cwd=folder, check=True, capture_output=True)
        data = next(Path(folder).glob("*.tgz")).read_bytes()
    found = base64.b64encode(hashlib.sha512(data).digest()).decode()
    if found != INTEGRITY:
        raise SystemExit(f"{OPENAPI} has another hash than expected: {found}")
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        file = archive.extractfile("package/generated/api.github.com.json")
        document: Tree = json.load(file) if file else {}
    return document


def main(argv: list[str]) -> int:
    """Write the files."""
    made = {name: google(name) for name in GOOGLE}
    if "--github" in argv:
        made["github"] = github(openapi())
    for name, content in made.items():
        (FOLDER / f"{name}.json").write_text(dumped(content))
        print(f"{name}: {content['source']}, {len(content['methods'])} methods")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
