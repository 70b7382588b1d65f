"""Vertex AI's long-running operations: what is under way on a resource, how it ended, and new tries."""

import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from delivery.patience import CALL, patient
from flows.errors import RetrainError

FIRST_PERIOD, LONGEST_PERIOD, GROWTH = 0.05, 5.0, 1.3  # seconds between two looks
LONGEST = 7200.0  # seconds for one operation: a deployment takes a quarter of it
NEWS = 60.0  # seconds between two lines that say that it still goes on
TRIES = 6


class Operations:
    """Those that one of Vertex AI's clients can see."""

    def __init__(self, client: Any) -> None:
        self._client, self._why = client, ""

    def persist(self, attempt: Callable[[], bool], failed: str) -> None:
        """Try until an attempt has come to its end, each a little later than the one before.

        Raises RetrainError, `failed` with why the last one was put off, where none does.
        """
        self._why = ""
        for number in range(TRIES):
            if number:
                time.sleep(0.2 * 2**number)
            if attempt():
                return
        raise RetrainError(f"{failed}: {self._why}" if self._why else failed, "deploy again")

    def put_off(self, why: str) -> bool:
        """What an attempt ends with that another one has to follow."""
        say("again", why)
        self._why = why
        return False

    def under_way(self, resource: str) -> list[str]:
        """The names of a resource's operations that have not ended; none where it is not there."""
        from google.api_core.exceptions import NotFound

        try:
            return [one.name for one in self._all(resource) if not one.done]
        except NotFound:
            return []

    def settle(self, resource: str) -> None:
        """Wait for all that is under way on a resource, however it ends: a killed run began it.

        Raises RetrainError as `ended` does.
        """
        for name in self.under_way(resource):
            say("waits", f"for what is under way: {name.partition('/locations/')[2].partition('/')[2]}")
            self.ended(name)

    def ended(self, name: str) -> Any:
        """The operation (google.longrunning) once it has ended; one that failed has an `error`.

        Raises RetrainError with its name where that takes too long.
        """
        start = told = time.monotonic()
        period = FIRST_PERIOD
        while not (found := self._get(name)).done:
            if time.monotonic() - start > LONGEST:
                mend = "see in the console what it waits for, then deploy again"
                raise RetrainError(f"{name} has not ended in {LONGEST / 3600:.0f} hours", mend)
            time.sleep(period)
            period = min(period * GROWTH, LONGEST_PERIOD)
            if time.monotonic() - told > NEWS:
                told = time.monotonic()
                say("waits", f"{told - start:,.0f} s for {name.rsplit('/', 3)[1]}")
        return found

    def _get(self, name: str) -> Any:
        asked = {"name": name}
        return patient(partial(self._client.get_operation, request=asked, retry=None, timeout=CALL))

    def _all(self, resource: str) -> Iterator[Any]:
        token = ""
        while True:
            asked = {"name": resource, "page_token": token}
            page = patient(
                partial(self._client.list_operations, request=asked, retry=None, timeout=CALL)
            )
            yield from page.operations
            token = page.next_page_token
            if not token:
                return


def say(word: str, text: str) -> None:
    """One line of progress."""
    print(f"{word:<14}{text}", file=sys.stderr, flush=True)
