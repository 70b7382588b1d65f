"""What endpoints served, counted by minute: what Cloud Monitoring shows of it."""

import threading
import time
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

from localcloud.store import Store

MINUTE = 60
FLUSH = 1.0  # seconds between two times that counts are written
GROWTH = 1.2
BOUNDS = [GROWTH**n for n in range(66)]  # of the latencies' buckets, in milliseconds
Key = tuple[str, str, int]  # the endpoint's name, the deployed model's id, the response's code


@dataclass
class Count:
    """One minute of one deployed model's answers with one code."""

    endpoint: str
    deployed: str
    code: int
    minute: int
    answers: int = 0
    predictions: int = 0
    milliseconds: float = 0.0
    squares: float = 0.0
    buckets: dict[str, int] = field(default_factory=dict)  # by number in BOUNDS, as JSON has keys

    def add(self, predictions: int, milliseconds: float) -> None:
        """One more answer."""
        self.answers += 1
        self.predictions += predictions
        self.milliseconds += milliseconds
        self.squares += milliseconds**2
        bucket = str(bisect_left(BOUNDS, milliseconds))
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1

    @property
    def key(self) -> str:
        """Of its record."""
        return f"{self.endpoint}/{self.deployed}/{self.minute:012d}/{self.code}"


class Points:
    """Records: "prediction-count" by endpoint, deployed model, minute and code."""

    def __init__(self, store: Store) -> None:
        self._store, self._lock = store, threading.Lock()
        self._fresh: dict[tuple[Key, int], Count] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def count(self, key: Key, predictions: int, milliseconds: float) -> None:
        """One answer."""
        minute = int(time.time()) // MINUTE * MINUTE
        with self._lock:
            found = self._fresh.get((key, minute))
            if found is None:
                found = self._fresh[key, minute] = self._known(Count(*key, minute))
            found.add(predictions, milliseconds)

    def list(self) -> Iterator[Count]:
        """All counts, by endpoint, deployed model and minute."""
        self.flush()
        for _, row in self._store.list("prediction-count"):
            yield Count(**row)

    def flush(self) -> None:
        """Write what was counted."""
        with self._lock:
            now = int(time.time()) // MINUTE * MINUTE
            with self._store.transaction():
                for count in self._fresh.values():
                    self._store.put("prediction-count", count.key, vars(count))
            self._fresh = {known: one for known, one in self._fresh.items() if one.minute >= now}

    def close(self) -> None:
        """Write what was counted, and count no more."""
        self._stopping.set()
        self._thread.join()
        self.flush()

    def _known(self, fresh: Count) -> Count:
        row = self._store.get("prediction-count", fresh.key)
        return Count(**row) if row else fresh

    def _run(self) -> None:
        while not self._stopping.wait(FLUSH):
            self.flush()
