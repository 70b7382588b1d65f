"""The lock of an endpoint: one holder, renewed, taken over, given back."""

from tests.conftest import Program

START = """
import json, time, msgspec
from google.cloud import storage
from delivery import endpoint_lock
from delivery.endpoint_lock import EndpointLock, locked
from delivery.settings import load
from flows.errors import RetrainError
environment = msgspec.structs.replace(load().environment("local"), serving_bucket="gs://locks-NAME")
bucket = storage.Client().create_bucket("locks-NAME")
def refused(call, *given):
    try:
        call(*given)
    except RetrainError as error:
        return str(error)
"""


def test_one_holds_it_and_the_next_is_told_who(program: Program) -> None:
    said, left = program(
        START.replace("NAME", "one")
        + """
os.environ |= {"GITHUB_RUN_ID": "7", "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "acme/models"}
with locked(environment, "a") as lock:
    lock.check()
    said = refused(EndpointLock(environment, "a").take, 0.0)
    with locked(environment, "b"):
        pass
answer = said, [blob.name for blob in bucket.list_blobs()]
"""
    )
    assert said.startswith("gs://locks-one/locks/a.json is held by https://github.com/acme/models/")
    assert "actions/runs/7 until " in said
    assert left == []


def test_who_does_not_renew_it_in_time_may_do_nothing_more(program: Program) -> None:
    late, taken, renewed = program(
        START.replace("NAME", "two")
        + """
endpoint_lock.LIFE = 1.0
slow = EndpointLock(environment, "a")
slow.take()
while not (late := refused(slow.check)):
    time.sleep(0.05)
def text():
    return bucket.blob("locks/a.json").download_as_text()
def write(**fields):
    bucket.blob("locks/a.json").upload_from_string(json.dumps({**json.loads(text()), **fields}))
write(process="", token="theirs")
with locked(environment, "a") as fast:  # waits until that one has expired, too
    first = text()
    while (renewed := text()) == first:
        time.sleep(0.05)
    write(token="a third one's")
    while not (taken := refused(fast.check)):
        time.sleep(0.05)
answer = late, taken, renewed != first
"""
    )
    assert "the lock is lost: it could not be renewed in time" in late
    assert "the lock is lost: " in taken
    assert renewed


def test_a_bucket_that_is_not_there_is_named(program: Program) -> None:
    said = program(
        START.replace("NAME", "three")
        + """
elsewhere = msgspec.structs.replace(environment, serving_bucket="gs://locks-nowhere")
answer = refused(EndpointLock(elsewhere, "a").take)
"""
    )
    assert "gs://locks-nowhere/locks/a.json: Cloud Storage answers 404" in said
    assert "make the serving bucket" in said


def test_a_stand_by_waits_for_the_roll_out_that_is_at_work(program: Program) -> None:
    held, free, there = program(
        START.replace("NAME", "four")
        + """
from datetime import UTC, datetime, timedelta
from delivery import standby
from delivery.endpoint_state import Deployed, Seen
from delivery.serving_names import Machine
from flows.serving_config import Serving
now = datetime.now(UTC)
ours = [Deployed("1", "v1", Machine("m", "", 0), 1, 1, 0, now - timedelta(days=9), True, True)]
class Endpoint:
    id = "a"
    def __init__(self, *_):
        pass
    def look(self):
        return Seen(tuple(ours), True, "", {})
    def undeploy(self, number):
        ours[:] = [one for one in ours if one.id != number]
standby.Endpoint = Endpoint
def end():
    return standby.end(environment, "recommender", Serving(), now)
with locked(environment, "a"):
    held = end(), len(ours)
answer = held, end(), len(ours)
"""
    )
    assert held == [[], 1]
    assert (free, there) == (["v1"], 0)
