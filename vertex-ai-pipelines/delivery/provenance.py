"""Who built an image: said by train.yml when it has built one, and looked up before it is used.

`attest` in settings.toml says how: "off", not at all; "kms", by a key in Cloud KMS that no account but
train.yml's may use; "github", by GitHub's own attestations, which an action of train.yml's makes between
two calls of `./scripts/build`. Either is kept beside the image in its registry.
"""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from delivery import bundle, certificate, dsse, referrers, roots, settings, statement, trust
from delivery.dsse import ForgedError
from delivery.kms import Kms
from delivery.registry import Registry
from delivery.settings import Environment
from flows.errors import InputError, RetrainError

KINDS = {"kms": dsse.ENVELOPE, "github": bundle.KIND}
AGAIN = "press the button of train.yml on main with environment '{}': it builds and signs them"


class UnvouchedError(RetrainError):
    """An image that nobody trusted says to have built."""


class UnsaidError(RetrainError):
    """An image that is in the registry, and that GitHub has still to attest; no tag is on it."""

    def __init__(self, name: str, digest: str) -> None:
        self.name, self.digest = name, digest
        what = f"{name}@{digest}: GitHub has not attested it"
        super().__init__(what, "train.yml's next steps have it attested, and give --attested")


def attest(
    environment: Environment, registry: Registry, digest: str, bundles: Sequence[bytes] = ()
) -> None:
    """Say of an image that this run of train.yml has built it; GitHub's word on that is in `bundles`.

    Raises UnsaidError where it is not, RetrainError, InputError.
    """
    if environment.attest == "kms":
        key = Kms(str(environment.attest_key))
        said = statement.made(registry.name, digest)
        _attach(environment, registry, digest, [dsse.sign(said, key.version, key.sign)], key.version)
    elif environment.attest == "github" and bundles:
        _attach(environment, registry, digest, bundles, "GitHub")
    elif environment.attest == "github":
        raise UnsaidError(registry.name, digest)


def reusable(environment: Environment, registry: Registry, digest: str | None) -> bool:
    """Whether the image that is there, if one is, may be used as it is.

    Raises InputError where it has to be built, and only train.yml may do that, or without a trust root.
    """
    if environment.attest != "off":
        _read(environment)  # before anything is built that could not be signed then
    try:
        if digest:
            check(environment, registry, digest)
            return True
    except UnvouchedError as error:
        print(f"attest        {error.what}", file=sys.stderr)
    _refuse_others(environment)
    return False


def check(environment: Environment, registry: Registry, digest: str) -> None:
    """That train.yml on main of our repository built the image, where the environment wants to know.

    Raises UnvouchedError, with what each attestation lacks; InputError without a trust root.
    """
    if environment.attest == "off":
        return
    said = referrers.attached(registry, digest, KINDS[environment.attest])
    found, why = _holding(environment, said, registry.name, digest)
    if found is None:
        why = why or "there is no attestation of it"
        raise UnvouchedError(
            f"{registry.name}@{digest}: nobody trusted says that train.yml built it: {why}",
            AGAIN.format(environment.name),
        )


def check_used(environment: Environment, image: str) -> None:
    """The same of the image, HOST/…/NAME@DIGEST, that a model was made with."""
    if environment.attest != "off":
        name, _, digest = image.partition("@")
        check(environment, Registry(name), digest)


def check_served(environment: Environment, image: str) -> None:
    """The same before a model is served with the image: a promoted one's counts where it was built.

    Raises as `check`.
    """
    if environment.attest == "off":
        return None
    known = settings.load().environments
    places = [environment, *(known[name] for name in environment.origins if name in known)]
    builders = [one for one in places if image.startswith(f"{one.artifact_registry}/")]
    refusals = list[UnvouchedError]()
    for one in builders or [environment]:
        try:
            return check_used(one, image)
        except UnvouchedError as error:
            refusals.append(error)
    raise refusals[-1]


def _refuse_others(environment: Environment) -> None:
    if environment.attest == "off" or statement.is_ours(settings.load().repository):
        return
    raise InputError(
        f"'{environment.name}' attests its images (attest = \"{environment.attest}\"), and only"
        " train.yml on main can",
        AGAIN.format(environment.name),
    )


def _read(environment: Environment) -> None:
    """That the trust root is there, and is one. Raises InputError."""
    if environment.attest == "kms":
        trust.read(environment)
    else:
        roots.read(environment)
        roots.repository(environment)


def _attach(
    environment: Environment, registry: Registry, digest: str, said: Sequence[bytes], who: str
) -> None:
    """Put what is said of an image beside it, where the trust root trusts it."""
    found, why = _holding(environment, said, registry.name, digest)
    if found is None:
        raise RetrainError(
            f"{trust.path(environment)} does not trust what this run has signed: {why}",
            "./scripts/doctor says what does not fit: the key, the roots, or the repository's numbers",
        )
    referrers.attach(registry, digest, KINDS[environment.attest], found)
    print(f"attested      {registry.name}@{digest[:19]}… · {who}", file=sys.stderr)


def _holding(
    environment: Environment, said: Iterable[bytes], image: str, digest: str
) -> tuple[bytes | None, str]:
    """The first of what is said that holds, and what those before it lack."""
    reasons = list[str]()
    for one in said:
        try:
            _checked(environment, one, image, digest)
        except ForgedError as error:
            reasons.append(str(error))
        else:
            return one, "; ".join(reasons)
    return None, "; ".join(reasons)


def _checked(environment: Environment, data: bytes, image: str, digest: str) -> None:
    """That somebody trusted signed just what is wanted. Raises ForgedError, InputError."""
    kinds = {"kms": _by_key, "github": _by_github}
    said, reasons = kinds[environment.attest](environment, data)
    reasons += statement.wrong(said, image, digest, settings.load().repository)
    if reasons:
        raise ForgedError("; ".join(reasons))


def _by_key(environment: Environment, data: bytes) -> tuple[dict[str, Any], list[str]]:
    """What a trusted key has signed."""
    keys = trust.read(environment)
    said, name = dsse.opened(data, trust.publics(keys))
    if since := trust.expired(keys, name):
        raise ForgedError(f"its key counts no more since {since:%Y-%m-%d}: {name}")
    return said, []


def _by_github(environment: Environment, data: bytes) -> tuple[dict[str, Any], list[str]]:
    """What the bearer of a certificate has signed, and what keeps that from being our workflow."""
    trusted = roots.repository(environment)
    said, signer = bundle.opened(data, roots.read(environment), certificate.identity(trusted.name))
    wrong = [*certificate.wrong(signer, trusted), *certificate.disagreeing(signer, said)]
    return said, wrong
