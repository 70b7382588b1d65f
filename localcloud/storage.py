"""Cloud Storage: the JSON API as Google's own client calls it."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from localcloud import google_rest, storage_batch, storage_download, uploads
from localcloud.cloud import Cloud
from localcloud.described import description
from localcloud.errors import ApiError
from localcloud.http import Handler, Query, Request, Response, Route, Router, google_error
from localcloud.storage_bucket_calls import BucketCalls
from localcloud.storage_conditions import Conditions
from localcloud.storage_copy import Copies
from localcloud.storage_grants import Grants, refuse_fields, refuse_unserved
from localcloud.storage_list import page
from localcloud.storage_objects import Objects, Resource, public
from localcloud.storage_xml import MultipartUploads
from localcloud.storage_xml_objects import XmlObjects, xml_error

BUCKETS, BUCKET = "/storage/v1/b", "/storage/v1/b/{bucket}"
OBJECTS, OBJECT = "/storage/v1/b/{bucket}/o", "/storage/v1/b/{bucket}/o/{name*}"
TARGET = "b/{to}/o/{target*}"
UPLOADS = "/upload/storage/v1/b/{bucket}/o"
AREAS = ("/storage/", "/upload/storage/", "/download/storage/", "/batch/", "/resumable/")


class Storage:
    """Buckets and objects, over HTTP and, for the other services of this process, in Python."""

    hosts: tuple[str, ...] = (r"storage\.googleapis\.com", r"www\.googleapis\.com")

    def __init__(self, cloud: Cloud) -> None:
        self._cloud, self._objects = cloud, Objects(cloud)
        self._grants = Grants(cloud, self._objects)
        self._buckets = BucketCalls(self._objects, self._grants)
        self._copies = Copies(self._objects, self._grants)
        self._sessions = uploads.Sessions(cloud, self._finish)
        parts = MultipartUploads(cloud, self._objects, self._grants)
        self._xml = XmlObjects(self._objects, self._grants, parts, self._start_xml)

    # -------------------------------------------------------------- in this process

    def check(self, principal: str, permission: str, bucket: str, name: str = "") -> None:
        """Raises PERMISSION_DENIED: a service acts for its caller."""
        self._grants.check(principal, permission, bucket, name)

    def make_bucket(self, name: str, location: str = "US") -> None:
        """Make a bucket, unless it is there."""
        if not self._cloud.store.get("bucket", name):
            self._objects.buckets.create({"name": name, "location": location})

    def write(self, bucket: str, name: str, data: bytes, content_type: str = "") -> None:
        """Make or replace an object."""
        wanted = {"bucket": bucket, "name": name, "contentType": content_type or None}
        self._objects.write(wanted, data, Conditions())

    def read(self, bucket: str, name: str) -> bytes:
        """An object's bytes. Raises NOT_FOUND."""
        return self._objects.data(self._objects.get(bucket, name))

    def path(self, bucket: str, name: str) -> Path:
        """The file of an object's bytes, to read only. Raises NOT_FOUND."""
        return self._objects.path(self._objects.get(bucket, name))

    def names(self, bucket: str, prefix: str = "") -> list[str]:
        """The objects whose names start with `prefix`. Raises NOT_FOUND where there is no bucket."""
        return [found["name"] for found in self._objects.list(bucket, prefix)]

    # -------------------------------------------------------------- over HTTP

    def table(self) -> list[tuple[str, str, str, Handler]]:
        """Every call that is served."""
        of_object, of_bucket, buckets = "storage.objects", "storage.buckets", self._buckets
        return [
            ("GET", "/storage/v1/projects/{project}/serviceAccount", "", self.service_account),
            ("POST", "/batch/storage/v1", "", self.batch),
            ("POST", BUCKETS, f"{of_bucket}.create", buckets.create),
            ("GET", BUCKETS, f"{of_bucket}.list", buckets.list),
            ("GET", BUCKET, f"{of_bucket}.get", buckets.get),
            ("PATCH", BUCKET, f"{of_bucket}.update", buckets.patch),
            ("PUT", BUCKET, f"{of_bucket}.update", buckets.patch),
            ("POST", f"{BUCKET}/lockRetentionPolicy", f"{of_bucket}.update", buckets.lock),
            ("DELETE", BUCKET, f"{of_bucket}.delete", buckets.delete),
            ("GET", f"{BUCKET}/iam", f"{of_bucket}.getIamPolicy", buckets.get_policy),
            ("PUT", f"{BUCKET}/iam", f"{of_bucket}.setIamPolicy", buckets.set_policy),
            ("GET", f"{BUCKET}/iam/testPermissions", "", buckets.test_permissions),
            ("GET", OBJECTS, f"{of_object}.list", self.list_objects),
            ("POST", f"{BUCKET}/o/{{name*}}/compose", f"{of_object}.get", self._copies.compose),
            ("POST", f"{BUCKET}/o/{{name*}}/copyTo/{TARGET}", f"{of_object}.get", self._copies.copy),
            (
                "POST",
                f"{BUCKET}/o/{{name*}}/rewriteTo/{TARGET}",
                f"{of_object}.get",
                self._copies.rewrite,
            ),
            (
                "POST",
                f"{BUCKET}/o/{{name*}}/moveTo/o/{{target*}}",
                f"{of_object}.move",
                self._copies.move,
            ),
            ("POST", f"{BUCKET}/o/{{name*}}/restore", f"{of_object}.restore", self._copies.restore),
            ("GET", OBJECT, f"{of_object}.get", self.get_object),
            ("GET", f"/download{OBJECT}", f"{of_object}.get", self.download),
            ("PATCH", OBJECT, f"{of_object}.update", self.patch_object),
            ("PUT", OBJECT, f"{of_object}.update", self.patch_object),
            ("DELETE", OBJECT, f"{of_object}.delete", self.delete_object),
            ("POST", UPLOADS, "", self.upload),  # the body may hold the name: it checks that itself
            ("PUT", UPLOADS, f"{of_object}.create", self._sessions.put),
            ("DELETE", UPLOADS, f"{of_object}.create", self._sessions.cancel),
            ("GET", "/{bucket}", f"{of_object}.list", self._xml.list),
            ("GET", "/{bucket}/{name*}", f"{of_object}.get", self.download),
            ("HEAD", "/{bucket}/{name*}", f"{of_object}.get", self.download),
            ("POST", "/{bucket}/{name*}", "", self._xml.post),
            ("PUT", "/{bucket}/{name*}", "", self._xml.put),
            ("DELETE", "/{bucket}/{name*}", "", self._xml.delete),
        ]

    def routes(self) -> list[Route]:
        """The table, each call behind the gate."""
        found = [
            Route(method, path, partial(self._checked, permission, handler))
            for method, path, permission, handler in self.table()
        ]
        return google_rest.routes(description("storage"), found, AREAS)

    def refuse(self, request: Request, error: ApiError) -> Response:
        """Google's error body; a download's is plain text, and the XML API's is XML."""
        unless = "ifGenerationNotMatch" in request.query or "if-none-match" in request.headers
        if request.method == "GET" and error.status == 412 and unless:
            return Response(status=304)
        if request.query.get("alt") == "media":
            return Response(
                error.message.encode(), error.status, {"content-type": "text/html; charset=UTF-8"}
            )
        return google_error(request, error) if request.path.startswith(AREAS) else xml_error(error)

    def _checked(self, permission: str, handler: Handler, request: Request) -> Response:
        refuse_unserved(request)
        # A session's address is its own credential, for the session's two calls alone.
        of_session = handler in (self._sessions.put, self._sessions.cancel)
        if not (of_session and self._sessions.knows(request)):
            principal = self._grants.caller(request)
            if permission:
                named = request.params.get("bucket", ""), request.params.get("name", "")
                self._grants.check(principal, permission, *named)
        return handler(request)

    def batch(self, request: Request) -> Response:
        """Many calls in one."""
        return storage_batch.answer(request, Router([self]))

    def service_account(self, _: Request) -> Response:
        """projects.serviceAccount.get"""
        number = self._cloud.world.project_number
        address = f"service-{number}@gs-project-accounts.iam.gserviceaccount.com"
        return Response({"kind": "storage#serviceAccount", "email_address": address})

    def list_objects(self, request: Request) -> Response:
        """objects.list"""
        query, place = request.query, (request.params["bucket"], request.query.get("prefix", ""))
        soft, versions = (query.get(name, "").lower() == "true" for name in ("softDeleted", "versions"))
        if soft and versions:
            words = "Cannot list soft-deleted objects and versions at once."
            raise ApiError("INVALID_ARGUMENT", words, reason="invalid")
        listed = self._objects.list_deleted(*place) if soft else self._objects.list(*place, versions)
        found, prefixes, token = page(listed, query)
        body: Resource = {"kind": "storage#objects", "items": [public(one) for one in found]}
        return Response(
            body
            | ({"prefixes": prefixes} if prefixes else {})
            | ({"nextPageToken": token} if token else {})
        )

    def get_object(self, request: Request) -> Response:
        """objects.get"""
        if request.query.get("alt") == "media":
            return self.download(request)
        found = self._get(request)
        storage_download.check_etag(found, request.headers)
        return Response(public(found))

    def download(self, request: Request) -> Response:
        """objects.get with alt=media"""
        found = self._get(request)
        storage_download.check_etag(found, request.headers)
        sent = storage_download.respond(found, self._objects.data(found), request.headers)
        return storage_download.renamed(sent, request.query)

    def patch_object(self, request: Request) -> Response:
        """objects.patch and objects.update"""
        changes = request.json()
        refuse_fields(changes)
        with self._cloud.store.transaction():
            return Response(public(self._objects.change(self._get(request), changes)))

    def delete_object(self, request: Request) -> Response:
        """objects.delete"""
        with self._cloud.store.transaction():
            self._objects.delete(self._get(request), "generation" in request.query)
        return Response(status=204)

    def upload(self, request: Request) -> Response:
        """objects.insert: multipart, media or the start of a resumable session"""
        bucket, kind = request.params["bucket"], request.query.get("uploadType", "")
        self._objects.buckets.get(bucket)
        caller = self._grants.caller(request)
        if kind == "multipart":
            return self._write(caller, bucket, request.query, uploads.multipart(request))
        if kind == "media":
            upload = uploads.Upload({}, request.body, request.headers.get("content-type", ""))
            return self._write(caller, bucket, request.query, upload)
        if kind != "resumable":
            raise ApiError("INVALID_ARGUMENT", f"Invalid upload type '{kind}'.", reason="invalid")
        metadata = {**request.json()}
        content_type = request.headers.get("x-upload-content-type", "")
        # A condition that fails already fails here, before any byte is sent.
        wanted = self._named(bucket, request.query, metadata)
        Conditions.of(request.query).check(self._objects.find(bucket, wanted["name"]))
        return self._start(caller, request, wanted, content_type)

    def _start_xml(self, request: Request, wanted: Resource) -> Response:
        """A session that the XML API starts goes on at the address of the JSON API's."""
        caller, path = self._grants.caller(request), UPLOADS.replace("{bucket}", wanted["bucket"])
        return self._start(caller, replace(request, path=path, query=Query()), wanted, "")

    def _start(self, caller: str, request: Request, wanted: Resource, content_type: str) -> Response:
        self._grants.check_write(caller, wanted["bucket"], wanted["name"])
        record = {
            "caller": caller,
            "bucket": wanted["bucket"],
            "query": dict(request.query),
            "metadata": wanted,
            "type": content_type,
        }
        return self._sessions.start(request, record)

    def _finish(self, record: dict[str, Any], request: Request, data: bytes) -> Response:
        declared = storage_download.declared_hashes(request.headers)
        for key, value in declared.items():
            if record["metadata"].get(key, value) != value:
                words = f"The {key} of the metadata is not that of the last chunk's header."
                raise ApiError("INVALID_ARGUMENT", words, reason="invalid")
        upload = uploads.Upload(record["metadata"] | declared, data, record["type"])
        return self._write(record["caller"], record["bucket"], record["query"], upload)

    def _write(
        self, caller: str, bucket: str, query: Mapping[str, str], upload: uploads.Upload
    ) -> Response:
        wanted = self._named(bucket, query, upload.metadata)
        self._grants.check_write(caller, bucket, wanted["name"])
        if upload.content_type and not wanted.get("contentType"):
            wanted["contentType"] = upload.content_type
        return Response(public(self._objects.write(wanted, upload.data, Conditions.of(query))))

    @staticmethod
    def _named(bucket: str, query: Mapping[str, str], metadata: Resource) -> Resource:
        name = query.get("name") or metadata.get("name")
        if not name:
            raise ApiError("INVALID_ARGUMENT", "Required object name.", reason="required")
        api = description("storage")
        google_rest.check_body(api, api.operations["storage.objects.insert"], metadata)
        refuse_fields(metadata)
        return {**metadata, "bucket": bucket, "name": name}

    def _get(self, request: Request) -> Resource:
        return self._objects.get(request.params["bucket"], request.params["name"], request.query)
