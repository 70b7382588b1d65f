"""What `doctor` looks at in the supply chain: who says who built an image, and whose word counts."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from delivery import federation, grants, roots, settings, statement, trust
from delivery.finding import Finding
from delivery.grants import Repository
from delivery.kms import Kms
from delivery.roots import Root
from delivery.settings import Environment
from delivery.trust import TrustedKey
from flows.errors import InputError, RetrainError

SOON = timedelta(days=30)  # before a key's end that is worth a note


def attested(environment: Environment) -> Iterator[Finding]:
    """Whether images are attested, and by what the repository's plan allows."""
    if grants.is_experiment(environment):
        return
    if environment.attest == "off":
        what = 'attest = "off": nobody says who built an image, and submit does not ask'
        yield Finding("attest", "note", what, "provenance of every image", plan_allows())
    elif environment.attest == "kms":
        yield from _key(environment)
    else:
        yield from _github(environment)


def plan_allows() -> str:
    """What may stand in `attest`, by the repository's plan."""
    own = 'attest = "kms" in settings.toml works in every plan of GitHub; "github", which keeps no key,'
    name = settings.load().repository
    try:
        is_private = federation.is_private(name)
    except RetrainError:
        return f"{own} needs a public repository or Enterprise Cloud"
    if is_private:
        return f"{own} needs Enterprise Cloud: {name} is private"
    return f"{own} works as well: {name} is public"


def _github(environment: Environment) -> Iterator[Finding]:
    """The trusted roots, that they are of the kind that signs here, and whose workflow counts."""
    name = settings.load().repository
    is_private, real = federation.is_private(name), federation.repository(name)
    if is_private:
        what = f"{name} is private: GitHub attests nothing there but in Enterprise Cloud"
        yield Finding("attest", "note", what, "a plan that may", 'elsewhere, attest = "kms"')
    yield from _numbers(environment, real)
    try:
        found = [root for root in roots.read(environment) if root.is_logged != is_private]
    except InputError as error:
        yield Finding("attest", "failed", error.what, "Sigstore's trusted roots", error.mend)
        return
    yield _root(environment, found, is_private)


def _numbers(environment: Environment, real: Repository) -> Iterator[Finding]:
    """That trust/ENV.toml has the repository's own numbers."""
    where = trust.path(environment).relative_to(settings.ROOT)
    numbers = f"repository_id = {real.number}, owner_id = {real.owner}"
    mend = f"put into {where}: schema = 1, {numbers}, a line each"
    try:
        trusted = roots.repository(environment)
    except InputError as error:
        yield Finding("attest", "failed", error.what, numbers, mend)
        return
    if trusted[1:] != real[1:]:
        what = f"{where} trusts repository {trusted.number} of {trusted.owner}, which is not {real.name}"
        yield Finding("attest", "failed", what, numbers, mend)
    else:
        who = f"{statement.WORKFLOW} on main of {real.name}, number {real.number}"
        yield Finding("attest", "ok", f"github · {who}")


def _root(environment: Environment, found: list[Root], is_private: bool) -> Finding:
    """What the roots say of the Sigstore that signs for this repository."""
    where = roots.path(environment).relative_to(settings.ROOT)
    signs = "GitHub's own Sigstore, by timestamps" if is_private else "the public Sigstore, in its log"
    mend = f"gh attestation trusted-root > {where}, and review what has changed"
    spans = [one.valid_for for root in found for one in root.authorities]
    if not found:
        return Finding("attest", "failed", f"{where} has no root of {signs}", signs, mend)
    if not any(span.holds(datetime.now(UTC)) for span in spans):
        return Finding("attest", "failed", f"{where}: no authority counts now", signs, mend)
    return Finding("attest", "ok", f"{where} · {signs}")


def _key(environment: Environment) -> Iterator[Finding]:
    """The trust root, that it is of the key that signs, and that only train.yml's account signs."""
    version, there = str(environment.attest_key), trust.path(environment)
    where = there.relative_to(settings.ROOT)
    own = [key for key in trust.read(environment) if key.name == version] if there.exists() else []
    kms = Kms(version)
    public = kms.public()
    mend = f"put what this prints into {where}: {command(version)}; it is, as Cloud KMS says:\n{public}"
    if not own:
        yield Finding("attest", "failed", f"{where} does not name {version}", "the key that signs", mend)
    elif own[0].public.strip() != public.strip():
        yield Finding("attest", "failed", f"{where} has another public key", "Cloud KMS's own", mend)
    else:
        yield from _lasting(own[0])
    yield from _signers(environment, kms)


def _lasting(key: TrustedKey) -> Iterator[Finding]:
    now = datetime.now(UTC)
    mend = "add another version of the key to the trust root, and name it as attest_key"
    if key.until is None or key.until > now + SOON:
        yield Finding("attest", "ok", f"kms · {key.name}")
    elif key.until > now:
        what = f"{key.name} counts until {key.until:%Y-%m-%d}"
        yield Finding("attest", "note", what, "a key that counts longer", mend)
    else:
        what = f"{key.name} counts no more since {key.until:%Y-%m-%d}"
        yield Finding("attest", "failed", what, "a key that counts", mend)


def _signers(environment: Environment, kms: Kms) -> Iterator[Finding]:
    """Grants on the key itself; those on its key ring and project hold, too, and are not seen here."""
    wanted = f"serviceAccount:{grants.account(environment, grants.TRAIN)}"
    found = kms.signers()
    binding = f"gcloud kms keys %s-iam-policy-binding {kms.key} --role {grants.SIGNS} --member "
    if wanted not in found:
        yield Finding(
            *("attest", "failed", f"{wanted} may not sign", "train.yml's account signs"),
            mend=binding % "add" + wanted,
        )
    for other in sorted(found - {wanted}):
        yield Finding(
            *("attest", "failed", f"{other} may sign, too", "train.yml's account alone"),
            mend=binding % "remove" + other,
        )


def command(version: str) -> str:
    """The command that prints a version's public key."""
    _, project, _, location, _, ring, _, key, _, number = version.split("/")
    place = f"--project {project} --location {location} --keyring {ring} --key {key}"
    return f"gcloud kms keys versions get-public-key {number} {place} --output-file -"
