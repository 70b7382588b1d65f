"""Who is held out: a matter of seed and key alone, so that a side stays when others come."""

import hashlib
from collections.abc import Sequence

from flows.errors import InputError


def held(keys: Sequence[bytes], share: float, seed: int, what: str = "rows") -> list[bool]:
    """For each key, whether it is in the holdout, about `share` of `what` the keys are of.

    So a champion is never measured on what it has learnt from. Raises InputError where a side is empty.
    """
    found = [_fraction(seed, key) < share for key in keys]
    if all(found) or not any(found):
        side = "training set" if any(found) else "holdout"
        raise InputError(
            f"the {side} is empty: holdout_share = {share:g} of {len(found)} {what} is {sum(found)}",
            "change [preprocess] holdout_share or seed, or [data] days, in flow.toml",
        )
    return found


def _fraction(seed: int, key: bytes) -> float:
    """A number from 0 to 1, the same for the same key and seed."""
    drawn = hashlib.sha256(f"{seed}:".encode() + key).digest()
    return int.from_bytes(drawn[:8], "big") / 2**64
