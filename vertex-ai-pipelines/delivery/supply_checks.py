"""What `doctor` looks at in the supply chain: who says who built an image, and whose word counts."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from delivery import federation, grants, settings, trust
from delivery.finding import Finding
from delivery.kms import Kms
from delivery.settings import Environment
from delivery.trust import TrustedKey
from flows.errors import RetrainError

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


def plan_allows() -> str:
    """What may stand in `attest`, and what the repository's plan would allow besides."""
    own = (
        'attest = "kms" in settings.toml works in every plan of GitHub; its own attestations, which are'
    )
    name = settings.load().repository
    try:
        is_private = federation.is_private(name)
    except RetrainError:
        return f"{own} not served yet, need a public repository or Enterprise Cloud"
    if is_private:
        return f"{own} not served yet, need Enterprise Cloud: {name} is private"
    return f"{own} not served yet, need nothing more: {name} is public"


def _key(environment: Environment) -> Iterator[Finding]:
    """The trust root, that it is of the key that signs, and that only train.yml's account signs."""
    version, there = str(environment.attest_key), trust.path(environment)
    where = there.relative_to(settings.ROOT)
    own = [key for key in trust.read(environment) if key.name == version] if there.exists() else []
    kms = Kms(version)
    public = kms.public()
    mend = f"put what this prints into {where}: {command(version)}"
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
