"""Whom a certificate of Sigstore's names: the workflow, as GitHub's identity token told it (Fulcio)."""

from collections.abc import Iterator
from typing import Any

from delivery.grants import GITHUB, Repository
from delivery.statement import MAIN, WEB, WORKFLOW

ISSUER = f"https://{GITHUB}"
EVENTS = ("push", "workflow_dispatch")  # what starts train.yml
ARC = "1.3.6.1.4.1.57264.1"
# Fulcio's own numbers, below its arc.
NUMBERS = {
    "issuer": 8,
    "build signer": 9,
    "build signer's commit": 10,
    "runner": 11,
    "source repository": 12,
    "source commit": 13,
    "source ref": 14,
    "source repository's number": 15,
    "source owner's number": 17,
    "build configuration": 18,
    "build configuration's commit": 19,
    "trigger": 20,
}


def identity(repository: str) -> str:
    """The name that the certificate of a run of train.yml on main has."""
    return f"{WEB}/{repository}/{WORKFLOW}@{MAIN}"


def wrong(certificate: Any, trusted: Repository) -> Iterator[str]:
    """What keeps a certificate from naming a run of train.yml on main of the repository."""
    workflow = identity(trusted.name)
    if (names := _names(certificate)) != [workflow]:
        yield f"its certificate is of {', '.join(names) or 'nobody'}, not of {workflow}"
    expected = {
        "issuer": ISSUER,
        "build signer": workflow,
        "build configuration": workflow,
        "runner": "github-hosted",
        "source repository": f"{WEB}/{trusted.name}",
        "source ref": MAIN,
        "source repository's number": str(trusted.number),
        "source owner's number": str(trusted.owner),
    }
    for name, value in expected.items():
        if (found := said(certificate, name)) != value:
            yield f"its certificate's {name} is '{found}', not '{value}'"
    if (event := said(certificate, "trigger")) not in EVENTS:
        yield f"its certificate's trigger is '{event}', not one of: {', '.join(EVENTS)}"


def disagreeing(certificate: Any, statement: dict[str, Any]) -> Iterator[str]:
    """Where the statement names other commits than the certificate of who signed it."""
    commit = said(certificate, "source commit")
    for name in ("build signer's commit", "build configuration's commit"):
        if (found := said(certificate, name)) != commit:
            yield f"its certificate's {name} is '{found}', not the source's, '{commit}'"
    if commit not in _commits(statement):
        yield f"it does not name the commit of its certificate, '{commit}'"


def said(certificate: Any, name: str) -> str:
    """What one of Fulcio's extensions says; "" where it is not there."""
    from cryptography.x509 import ExtensionNotFound, ObjectIdentifier, UnrecognizedExtension

    try:
        oid = ObjectIdentifier(f"{ARC}.{NUMBERS[name]}")
        value = certificate.extensions.get_extension_for_oid(oid).value
    except ExtensionNotFound:
        return ""
    return _text(value.value) if isinstance(value, UnrecognizedExtension) else ""


def _names(certificate: Any) -> list[str]:
    from cryptography.x509 import ExtensionNotFound, SubjectAlternativeName

    try:
        found = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
    except ExtensionNotFound:
        return []
    return [str(one.value) for one in found]


def _text(der: bytes) -> str:
    """A UTF8String's text; "" where it is none."""
    from cryptography.hazmat.asn1 import decode_der

    try:
        return str(decode_der(str, der))
    except ValueError:
        return ""


def _commits(statement: dict[str, Any]) -> list[str]:
    try:
        sources = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
        return [str(one["digest"]["gitCommit"]) for one in sources]
    except (KeyError, TypeError):
        return []
