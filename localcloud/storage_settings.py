"""A bucket's settings: those that are served, and what Cloud Storage itself adds to them."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from localcloud.errors import ApiError

MULTI_REGIONS = ("US", "EU", "ASIA")
DUAL_REGIONS = ("ASIA1", "EUR4", "EUR5", "EUR7", "EUR8", "NAM4")
SOFT_DELETE = 7 * 86400  # seconds, unless a bucket says otherwise

Resource = dict[str, Any]


def check_served(wanted: Resource) -> None:
    """Raises UNIMPLEMENTED for a setting that would have no effect here but should have one."""
    asked = sorted(_not_served(wanted))
    if asked:
        words = f"the local cloud does not serve {', '.join(asked)} of buckets"
        raise ApiError("UNIMPLEMENTED", words, reason="notImplemented")


def _not_served(wanted: Resource) -> Iterator[str]:
    of = {
        "hierarchicalNamespace": (wanted.get("hierarchicalNamespace") or {}).get("enabled"),
        "billing.requesterPays": (wanted.get("billing") or {}).get("requesterPays"),
        "ipFilter": (wanted.get("ipFilter") or {}).get("mode") == "Enabled",
        **{name: wanted.get(name) for name in ("acl", "defaultObjectAcl", "encryption")},
    }
    yield from (name for name, value in of.items() if value)


def location_type(wanted: Resource) -> str:
    """Multi-region, dual-region or region."""
    location = wanted["location"]
    if wanted.get("customPlacementConfig") or location in DUAL_REGIONS:
        return "dual-region"
    return "multi-region" if location in MULTI_REGIONS else "region"


def merged(before: Resource, changes: Resource) -> Resource:
    """A merge patch: tables are merged, None removes a field."""
    made = dict(before)
    for name, value in changes.items():
        if isinstance(value, dict) and isinstance(made.get(name), dict):
            made[name] = merged(made[name], value)
        else:
            made[name] = merged({}, value) if isinstance(value, dict) else value
    return {name: value for name, value in made.items() if value is not None}


def filled(before: Resource, wanted: Resource, now: str) -> Resource:
    """The settings with their times and defaults. Raises where a locked retention would end."""
    made = dict(wanted)
    _check_lock(before.get("retentionPolicy") or {}, made.get("retentionPolicy") or {})
    if made.get("retentionPolicy"):
        made["retentionPolicy"] = _timed(before, made, "retentionPolicy", "retentionPeriod", now)
    soft = {"retentionDurationSeconds": str(SOFT_DELETE)} | (made.get("softDeletePolicy") or {})
    made["softDeletePolicy"] = soft
    made["softDeletePolicy"] = _timed(before, made, "softDeletePolicy", "retentionDurationSeconds", now)
    if made.get("autoclass"):
        made["autoclass"] = _autoclass(before.get("autoclass") or {}, made["autoclass"], now)
    if made["locationType"] != "region":
        made.setdefault("rpo", "DEFAULT")
    return made


def _timed(before: Resource, made: Resource, name: str, number: str, now: str) -> Resource:
    """A policy with the time since which its number holds."""
    old, new = before.get(name) or {}, made[name]
    seconds = int(new.get(number) or 0)
    same = old.get(number) == str(seconds)
    return {**new, number: str(seconds), "effectiveTime": old["effectiveTime"] if same else now}


def _autoclass(old: Resource, new: Resource, now: str) -> Resource:
    toggled = bool(old.get("enabled")) != bool(new.get("enabled")) or "toggleTime" not in old
    made = {**new, "toggleTime": now if toggled else old["toggleTime"]}
    if new.get("enabled"):
        made.setdefault("terminalStorageClass", "NEARLINE")
        if made["terminalStorageClass"] != old.get("terminalStorageClass"):
            made["terminalStorageClassUpdateTime"] = now
    return made


def _check_lock(old: Resource, new: Resource) -> None:
    shorter = int(new.get("retentionPeriod") or 0) < int(old.get("retentionPeriod") or 0)
    if old.get("isLocked") and (shorter or not new.get("isLocked")):
        words = "Cannot reduce retention duration of a locked Retention Policy for bucket."
        raise ApiError("PERMISSION_DENIED", words, reason="forbidden")


def seconds(bucket: Resource, policy: str, number: str) -> int:
    """A policy's number of seconds; 0 where there is none."""
    return int((bucket.get(policy) or {}).get(number) or 0)


def after(time: str, many: int) -> str:
    """The time so many seconds later, as the service writes it."""
    later = datetime.fromisoformat(time).timestamp() + many
    return (
        datetime.fromtimestamp(later, datetime.fromisoformat(time).tzinfo)
        .isoformat(timespec="microseconds")
        .replace("+00:00", "Z")
    )
