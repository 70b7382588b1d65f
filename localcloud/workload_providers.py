"""What an OpenID Connect provider of a pool may say, and what it makes of a token's claims."""

import re
from typing import Any, NamedTuple

from localcloud import cel
from localcloud.errors import ApiError

SUBJECT, GROUPS = "google.subject", "google.groups"
CUSTOM = re.compile(r"attribute\.([a-z0-9_]{1,100})")
MOST = 50  # custom attributes
LONGEST = {"mapping": 2048, SUBJECT: 127, "all": 8192}  # characters; bytes; bytes of all values
OIDC = {"issuerUri", "allowedAudiences"}
# Issuers whose tokens anybody in the world can have: a condition has to say whose are meant.
SHARED = ("https://token.actions.githubusercontent.com",)

Record = dict[str, Any]


class Mapped(NamedTuple):
    """What a credential is here: its subject, and the sets below its pool that it is in."""

    subject: str
    sets: tuple[str, ...]


def checked(fields: Record) -> Record:
    """A provider's fields. Raises INVALID_ARGUMENT for those that Google would refuse."""
    oidc, condition = fields.get("oidc") or {}, str(fields.get("attributeCondition", ""))
    if unserved := sorted(set(oidc) - OIDC):
        raise ApiError("UNIMPLEMENTED", f"the local cloud does not serve oidc.{unserved[0]}")
    issuer = str(oidc.get("issuerUri", ""))
    if not re.fullmatch(r"https://[^/\s]+(/\S*)?", issuer):
        raise _invalid(f"Invalid OIDC issuer URI: '{issuer}'. The scheme must be https.")
    if len(oidc.get("allowedAudiences", [])) > 10:
        raise _invalid("A provider may have 10 allowed audiences.")
    _check_mapping(fields.get("attributeMapping") or {})
    if issuer.rstrip("/") in SHARED and "assertion." not in condition:
        raise _invalid("The attribute condition must reference one of the provider's claims.")
    if condition:
        _check_expression("attribute condition", condition)
    return fields


def mapped(provider: Record, claims: Record) -> Mapped | None:
    """What the claims map to; None where the condition refuses them.

    Raises INVALID_ARGUMENT where there is no subject, or too much of it.
    """
    values = _values(provider["attributeMapping"], claims)
    custom = {found[1]: values[key] for key in values if (found := CUSTOM.fullmatch(key))}
    groups, subject = values.get(GROUPS, []), values.get(SUBJECT, "")
    google = {"subject": subject, "groups": groups}
    names = {"assertion": claims, "attribute": custom, "google": google}
    condition = provider.get("attributeCondition")
    if condition and not cel.holds(condition, names):
        return None
    if not subject:
        raise _refused("Could not obtain a value for google.subject from the given credential.")
    if len(subject.encode()) > LONGEST[SUBJECT]:
        raise _refused(
            f"The size of mapped attribute {SUBJECT} exceeds the {LONGEST[SUBJECT]} bytes limit. Either"
            " modify your attribute mapping or the incoming assertion to produce a mapped attribute"
            f" that is less than {LONGEST[SUBJECT]} bytes."
        )
    if sum(len(str(one).encode()) for one in values.values()) > LONGEST["all"]:
        raise _refused("The size of all mapped attributes exceeds 8 KB.")
    sets = [*(f"group/{one}" for one in groups)]
    return Mapped(subject, (*sets, *(f"attribute.{key}/{value}" for key, value in custom.items()), "*"))


def _values(mapping: dict[str, str], claims: Record) -> Record:
    """Each attribute that has a value: a claim that is not there gives none."""
    found: Record = {}
    for key, expression in mapping.items():
        try:
            value = cel.evaluate(expression, {"assertion": claims})
        except cel.CelError:
            continue
        found[key] = [str(one) for one in value] if key == GROUPS else str(value)
    return found


def _check_mapping(mapping: dict[str, str]) -> None:
    if SUBJECT not in mapping:
        raise _invalid("The attribute mapping must have google.subject.")
    custom = [key for key in mapping if key not in (SUBJECT, GROUPS)]
    for key in custom:
        if not CUSTOM.fullmatch(key):
            words = f"Invalid mapped attribute key: {key}. Custom mapped attributes must be in format"
            raise _invalid(f"{words} 'attribute.{{custom_attribute}}'.")
    if len(custom) > MOST:
        raise _invalid(f"The attribute mapping may have {MOST} custom attributes.")
    for key, expression in mapping.items():
        if len(expression) > LONGEST["mapping"]:
            raise _invalid(f"The mapping of {key} has more than {LONGEST['mapping']} characters.")
        _check_expression(f"mapping of {key}", expression)


def _check_expression(what: str, text: str) -> None:
    try:
        cel.check(text)
    except cel.CelError as error:
        raise _invalid(f"The {what} is invalid: {error}") from None


def _invalid(words: str) -> ApiError:
    return ApiError("INVALID_ARGUMENT", words)


def _refused(words: str) -> ApiError:
    return ApiError("INVALID_ARGUMENT", words, reason="invalid_request")
