"""Every call of Google's services that are REST only, its answer compared with Google's documents."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from localcloud.bigquery import BigQuery
from localcloud.cloud import Cloud
from localcloud.cloud_logging import CloudLogging
from localcloud.described import description, normal
from localcloud.http import Router
from localcloud.iam_api import IamApi
from localcloud.iam_credentials import IamCredentials
from localcloud.identity import signing_key
from localcloud.monitoring import Monitoring
from localcloud.monitoring_points import Points
from localcloud.security_tokens import SecurityTokens
from localcloud.services import rest_routes
from localcloud.storage import Storage
from tests.fidelity.answers import Checked
from tests.localcloud.served import new_cloud

B = "/storage/v1/b/data"
UPLOAD = "/upload/storage/v1/b/data/o"
P = "/bigquery/v2/projects/acme-ml"
T = f"{P}/datasets/retail/tables"
ISSUER, SCOPE = "https://issuer.example", "https://www.googleapis.com/auth/cloud-platform"
FIELDS = [{"name": "n", "type": "INTEGER"}, {"name": "at", "type": "TIMESTAMP"}]


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = new_cloud(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def signed(cloud: Cloud) -> Callable[[dict[str, Any]], str]:
    """Tokens of an issuer on this local cloud."""
    key = signing_key(cloud.store, ISSUER.removeprefix("https://"))["private"]
    return lambda claims: jwt.encode(claims, key, "RS256")


@pytest.fixture
def ask(cloud: Cloud) -> Iterator[dict[str, Checked]]:
    storage = Storage(cloud)
    bigquery = BigQuery(cloud, storage)
    token = f"Bearer {cloud.issue_token(cloud.world.owner)}"
    services: dict[str, Any] = {"storage": storage, "bigquery": bigquery, "iam": IamApi(cloud)}
    services |= {"iamcredentials": IamCredentials(cloud), "sts": SecurityTokens(cloud)}
    points = Points(cloud.store)
    services |= {"logging": CloudLogging(cloud), "monitoring": Monitoring(cloud, points)}
    for code in (200, 500):
        points.count(("projects/1/locations/here/endpoints/e", "1", code), 3, 1.5)
    log = cloud.root / "pipeline-jobs" / "one" / "logs" / "train.log"
    log.parent.mkdir(parents=True)
    log.write_text("read 9 rows\nerror: no rows left\n")
    yield {
        name: Checked(description(name), Router([one]), f"{name}.googleapis.com", lambda: token)
        for name, one in services.items()
    }
    points.close()
    bigquery.close()


def complete(checked: Checked, service: Any) -> None:
    """Nothing differed, and every call was made."""
    assert sorted(set(checked.wrong)) == []
    known = {(verb, normal(path)) for verb, path in rest_routes(service) if checked.api.find(verb, path)}
    assert {f"{verb} {path}" for verb, path in known} - checked.called == set()


def test_storage(ask: dict[str, Checked]) -> None:
    gcs = ask["storage"]
    gcs.ask("GET", "/storage/v1/projects/acme-ml/serviceAccount")
    new = {"name": "data", "location": "EU", "labels": {"a": "b"}, "versioning": {"enabled": True}}
    gcs.ask("POST", "/storage/v1/b?project=acme-ml", new)
    gcs.ask("GET", "/storage/v1/b?project=acme-ml&prefix=d")
    gcs.ask("GET", f"{B}?projection=full")
    gcs.ask("PATCH", B, {"labels": {"c": "d"}})
    gcs.ask("PUT", B, {"name": "data", "storageClass": "NEARLINE"})
    policy = gcs.ask("GET", f"{B}/iam")
    gcs.ask("PUT", f"{B}/iam", {"bindings": policy["bindings"]})
    gcs.ask(
        "GET",
        f"{B}/iam/testPermissions?permissions=storage.objects.get&permissions=storage.objects.list",
    )
    gcs.ask("POST", f"{UPLOAD}?uploadType=media&name=a", b"one", content_type="text/plain")
    gcs.ask("POST", f"{UPLOAD}?uploadType=media&name=a", b"two", content_type="text/plain")
    gcs.ask("GET", f"{B}/o?versions=true&delimiter=/&includeTrailingDelimiter=true")
    gcs.ask("GET", f"{B}/o/a")
    gcs.ask("GET", f"{B}/o/a?alt=media")
    gcs.ask("GET", f"/download{B}/o/a?alt=media")
    gcs.ask("PATCH", f"{B}/o/a", {"metadata": {"k": "v"}, "customTime": "2026-01-01T00:00:00Z"})
    gcs.ask("PUT", f"{B}/o/a", {"contentType": "text/csv"})
    gcs.ask("POST", f"{B}/o/sum/compose", {"sourceObjects": [{"name": "a"}, {"name": "a"}]})
    gcs.ask("POST", f"{B}/o/a/copyTo/b/data/o/copy")
    gcs.ask("POST", f"{B}/o/a/rewriteTo/b/data/o/again")
    gcs.ask("POST", f"{B}/o/again/moveTo/o/moved")
    gcs.ask("DELETE", f"{B}/o/copy")
    brief = {
        "name": "brief",
        "retentionPolicy": {"retentionPeriod": "1"},
        "autoclass": {"enabled": True},
    }
    gcs.ask("POST", "/storage/v1/b?project=acme-ml", brief)
    gcs.ask("POST", "/storage/v1/b/brief/lockRetentionPolicy?ifMetagenerationMatch=1")
    gcs.ask("DELETE", "/storage/v1/b/brief")
    gcs.ask("POST", "/storage/v1/b?project=acme-ml", {"name": "soft", "rpo": "DEFAULT"})
    soft = "/storage/v1/b/soft/o"
    made = gcs.ask("POST", f"/upload{soft}?uploadType=media&name=a", b"one", content_type="text/plain")
    gcs.ask("DELETE", f"{soft}/a")
    gcs.ask("GET", f"{soft}?softDeleted=true")
    gcs.ask("POST", f"{soft}/a/restore?generation={made['generation']}")
    complete(gcs, Storage)


def test_bigquery(ask: dict[str, Checked]) -> None:
    bq = ask["bigquery"]
    reference = {"projectId": "acme-ml", "datasetId": "retail"}
    bq.ask("POST", f"{P}/datasets", {"datasetReference": reference, "location": "EU"})
    bq.ask("GET", f"{P}/serviceAccount")
    bq.ask("GET", f"{P}/datasets")
    bq.ask("GET", f"{P}/datasets/retail")
    bq.ask("PATCH", f"{P}/datasets/retail", {"description": "Retail", "labels": {"a": "b"}})
    table = {"tableReference": {**reference, "tableId": "rows"}, "schema": {"fields": FIELDS}}
    bq.ask("POST", T, table)
    bq.ask("GET", T)
    bq.ask("GET", f"{T}/rows")
    bq.ask("PATCH", f"{T}/rows", {"description": "Rows"})
    row = {"insertId": "1", "json": {"n": 1, "at": "2026-01-01T00:00:00Z"}}
    bq.ask("POST", f"{T}/rows/insertAll", {"rows": [row]})
    bq.ask("POST", f"{T}/rows/insertAll", {"rows": [{"json": {"m": 1}}]})
    bq.ask("GET", f"{T}/rows/data?selectedFields=n")
    query = {"query": "SELECT * FROM retail.rows", "useLegacySql": False}
    done = bq.ask("POST", f"{P}/queries", query)["jobReference"]["jobId"]
    bq.ask("POST", f"{P}/queries", {**query, "dryRun": True})
    bq.ask("GET", f"{P}/queries/{done}?maxResults=1")
    bq.ask("POST", f"{P}/jobs", {"configuration": {"query": query}})
    bq.ask("POST", f"{P}/jobs", {"configuration": {"query": query, "dryRun": True}})
    bq.ask(
        "POST", f"{P}/jobs", {"configuration": {"query": {**query, "query": "SELECT * FROM nothing"}}}
    )
    bq.ask(
        "POST",
        f"{P}/jobs",
        {"configuration": {"query": {**query, "query": "DELETE FROM retail.rows WHERE n = 9"}}},
    )
    load = {
        "destinationTable": {**reference, "tableId": "more"},
        "sourceFormat": "CSV",
        "autodetect": True,
    }
    parts = [json.dumps({"configuration": {"load": load}}), "n,at\n2,2026-01-01\n"]
    body = "".join(f"--x\r\ncontent-type: text/plain\r\n\r\n{part}\r\n" for part in parts) + "--x--"
    kind = 'multipart/related; boundary="x"'
    bq.ask("POST", f"/upload{P}/jobs?uploadType=multipart", body.encode(), content_type=kind)
    bq.ask("GET", f"{P}/jobs?stateFilter=done&projection=full")
    bq.ask("GET", f"{P}/jobs/{done}")
    bq.ask("POST", f"{P}/jobs/{done}/cancel")
    bq.ask("DELETE", f"{P}/jobs/{done}/delete")
    bq.ask("DELETE", f"{T}/more")
    bq.ask("DELETE", f"{P}/datasets/retail?deleteContents=true")
    complete(bq, BigQuery)


def test_logging(ask: dict[str, Checked]) -> None:
    asked = {"resourceNames": ["projects/acme-ml"], "orderBy": "timestamp desc", "pageSize": 1}
    first = ask["logging"].ask("POST", "/v2/entries:list", asked)
    asked["pageToken"] = first["nextPageToken"]
    second = ask["logging"].ask("POST", "/v2/entries:list", asked)
    entries = [*first["entries"], *second["entries"]]
    assert [one["jsonPayload"]["message"] for one in entries] == ["error: no rows left", "read 9 rows"]
    complete(ask["logging"], CloudLogging)


def service_accounts(iam: Checked) -> None:
    accounts = "/v1/projects/acme-ml/serviceAccounts"
    new = {"accountId": "trainer", "serviceAccount": {"displayName": "Trainer"}}
    one = f"{accounts}/{iam.ask('POST', accounts, new)['email']}"
    iam.ask("GET", accounts)
    iam.ask("GET", one)
    policy = iam.ask("POST", f"{one}:getIamPolicy")
    iam.ask("POST", f"{one}:setIamPolicy", {"policy": policy})
    iam.ask("POST", f"{one}:testIamPermissions", {"permissions": ["iam.serviceAccounts.actAs"]})
    iam.ask("DELETE", one)


def collection(iam: Checked, place: str, name: str, field: str, body: dict[str, Any]) -> None:
    """All calls of pools or providers; in the end it is there."""
    operation = iam.ask("POST", f"{place}?{field}={name}", body)["name"]
    assert iam.ask("GET", f"/v1/{operation}")["done"]
    iam.ask("PATCH", f"{place}/{name}?updateMask=displayName", {"displayName": "Name"})
    iam.ask("DELETE", f"{place}/{name}")
    iam.ask("GET", f"{place}?showDeleted=true")
    iam.ask("POST", f"{place}/{name}:undelete")
    assert iam.ask("GET", f"{place}/{name}")["displayName"] == "Name"


def test_iam(ask: dict[str, Checked]) -> None:
    iam, pools = ask["iam"], "/v1/projects/acme-ml/locations/global/workloadIdentityPools"
    service_accounts(iam)
    collection(iam, pools, "pool", "workloadIdentityPoolId", {"description": "A pool"})
    provider = {"oidc": {"issuerUri": ISSUER}, "attributeMapping": {"google.subject": "assertion.sub"}}
    field = "workloadIdentityPoolProviderId"
    collection(iam, f"{pools}/pool/providers", "provider", field, provider)
    complete(iam, IamApi)


def test_tokens(ask: dict[str, Checked], signed: Callable[..., str]) -> None:
    place = "projects/123456789012/locations/global/workloadIdentityPools"
    pools, name = f"/v1/{place}", f"//iam.googleapis.com/{place}/pool/providers/provider"
    ask["iam"].ask("POST", "/v1/projects/acme-ml/serviceAccounts", {"accountId": "trainer"})
    ask["iam"].ask("POST", f"{pools}?workloadIdentityPoolId=pool", {})
    provider = {"oidc": {"issuerUri": ISSUER}, "attributeMapping": {"google.subject": "assertion.sub"}}
    where = f"{pools}/pool/providers?workloadIdentityPoolProviderId=provider"
    ask["iam"].ask("POST", where, provider)
    kinds, now = "urn:ietf:params:oauth:", int(time.time())
    claims = {"iss": ISSUER, "aud": name, "sub": "one", "iat": now, "exp": now + 300}
    ask["sts"].ask(
        "POST",
        "/v1/token",
        {
            "grantType": f"{kinds}grant-type:token-exchange",
            "audience": name,
            "scope": SCOPE,
            "requestedTokenType": f"{kinds}token-type:access_token",
            "subjectTokenType": f"{kinds}token-type:id_token",
            "subjectToken": signed(claims),
        },
        content_type="application/json",
    )
    credentials = ask["iamcredentials"]
    one = "/v1/projects/-/serviceAccounts/trainer@acme-ml.iam.gserviceaccount.com"
    credentials.ask("POST", f"{one}:generateAccessToken", {"scope": [SCOPE], "lifetime": "60s"})
    credentials.ask("POST", f"{one}:generateIdToken", {"audience": "a", "includeEmail": True})
    credentials.ask("GET", f"{one}/allowedLocations")
    credentials.ask("GET", f"{pools}/pool/allowedLocations")
    complete(credentials, IamCredentials)
    complete(ask["sts"], SecurityTokens)


@pytest.mark.parametrize("name", ["storage", "bigquery"])
def test_refusals_have_googles_shape(ask: dict[str, Checked], name: str) -> None:
    path = {"storage": "/storage/v1/b", "bigquery": f"{P}/datasets"}[name]
    own = {"storage": "?project=acme-ml", "bigquery": "?prettyPrint=true"}[name]
    for verb, target, body, status, words in [
        ("GET", f"{path}?colour=red", None, 400, 'Unknown name "colour"'),
        (
            "POST",
            f"{path}{own}",
            {"colour": 1},
            400,
            'Unknown name "colour": Cannot find field.',
        ),
        ("GET", f"{path}{own}&fields=colour", None, 400, "Invalid field selection colour"),
        ("GET", f"{path}{own}&alt=xml", None, 400, "Invalid value at 'alt'"),
        ("GET", f"{path}/x/y/z/colour", None, 404, "no call of this service"),
    ]:
        response = ask[name].send(verb, target, body)
        error = response.body["error"]
        assert (response.status, error["code"]) == (status, status), target
        assert words in error["message"]
        assert set(error["errors"][0]) == {"message", "domain", "reason"}


def test_monitoring(ask: dict[str, Checked]) -> None:
    monitoring, online = ask["monitoring"], "aiplatform.googleapis.com/prediction/online"
    path = "/v3/projects/acme-ml/timeSeries?interval.endTime=2100-01-01T00:00:00Z"
    path += "&interval.startTime=2020-01-01T00:00:00Z&filter=metric.type%3D%22"
    for name in ("prediction_count", "error_count", "response_count", "prediction_latencies"):
        found = monitoring.ask("GET", f"{path}{online}/{name}%22")
        assert found["timeSeries"][0]["points"]
    complete(monitoring, Monitoring)
