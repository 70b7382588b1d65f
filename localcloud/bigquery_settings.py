"""Settings of datasets and tables that would change what a query gives, and are not done here."""

from collections.abc import Iterator
from typing import Any

from localcloud.errors import ApiError

NOT_SERVED = (
    *("isCaseInsensitive", "defaultEncryptionConfiguration", "encryptionConfiguration"),
    *("externalDatasetReference", "resourceTags", "tableReplicationInfo", "biglakeConfiguration"),
)
OF_FIELDS = ("defaultValueExpression", "policyTags", "dataPolicies", "collation", "rangeElementType")

Record = dict[str, Any]


def check_settings(body: Record) -> None:
    """Raises UNIMPLEMENTED for what a dataset or table is asked to be, but cannot be here."""
    asked = {name for name in NOT_SERVED if body.get(name)}
    asked |= set(_of_fields((body.get("schema") or {}).get("fields") or []))
    if asked:
        words = f"the local BigQuery does not serve {', '.join(sorted(asked))}"
        raise ApiError("UNIMPLEMENTED", words, reason="notImplemented")


def _of_fields(fields: list[Record]) -> Iterator[str]:
    for one in fields:
        yield from (name for name in OF_FIELDS if _set(one.get(name)))
        yield from _of_fields(one.get("fields") or [])


def _set(value: Any) -> bool:
    """Empty policy tags take others away."""
    return bool(value.get("names")) if isinstance(value, dict) and "names" in value else bool(value)
