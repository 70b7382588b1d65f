"""What a flow's sample table names in Cloud Storage: put there once, when the flow is first run.

`provision` loads the tables of all flows, which costs little; some thousand objects take seconds, and
who runs another flow does not wait for them. The clock may run any flow that has a schedule.
"""

import hashlib
import importlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from delivery.grants import Grant
from delivery.settings import Environment
from flows import config, storage
from flows.errors import InputError
from flows.tables import load_toml
from laptop import grant
from laptop.provision import CALL, here
from laptop.shown import say
from laptop.world import local_environment

DONE = ".whole"  # of an object that is written last
Objects = Callable[[], Iterable[tuple[str, bytes]]]  # names and contents


def needed(flows: Iterable[str]) -> None:
    """Put the objects of these flows' samples to their buckets, where they are not there already."""
    for name in flows:
        if (config.FLOWS / name / "sample.py").is_file():
            module = importlib.import_module(f"flows.{name}.sample")
            if bucket := getattr(module, "BUCKET", ""):
                _fill(local_environment(), bucket, name, module.objects)


def scheduled() -> Iterator[str]:
    """The flows that a tick may submit."""
    for name in config.names():
        with suppress(InputError):  # what cannot be read is not submitted: the tick says so
            if load_toml(config.FLOWS / name / "flow.toml").get("schedule"):
                yield name


def _fill(environment: Environment, name: str, flow: str, objects: Objects) -> None:
    from google.cloud import storage as google

    done = f"{flow}-{_digest(objects())}{DONE}"
    client = google.Client(project=environment.project)
    bucket = client.lookup_bucket(name, timeout=CALL)
    if bucket and bucket.blob(done).exists(timeout=CALL):
        return
    if not bucket:
        bucket = client.create_bucket(name, location=environment.region, timeout=CALL)
    readers = [one.pipeline_account for one in here()]
    grant.bucket(environment.project, name, [_reads(who, name) for who in readers])

    def put(one: tuple[str, bytes]) -> None:
        _put(bucket, *one)

    with ThreadPoolExecutor(storage.THREADS) as pool:
        count = sum(1 for _ in pool.map(put, objects()))
    _put(bucket, done, b"")
    say("sample", f"{count:,} objects in gs://{name} · once")


def _digest(objects: Iterable[tuple[str, bytes]]) -> str:
    """Of names and contents: a sample that was changed is put there anew."""
    whole = hashlib.sha256()
    for name, content in objects:
        whole.update(f"{name}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return whole.hexdigest()[:16]


def _put(bucket: Any, name: str, content: bytes) -> None:
    bucket.blob(name).upload_from_string(content, timeout=CALL)


def _reads(who: str, bucket: str) -> Grant:
    return Grant(who, "roles/storage.objectViewer", "bucket", bucket)
