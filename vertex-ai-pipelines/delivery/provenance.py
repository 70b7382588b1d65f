"""Who built an image: said by train.yml when it has built one, and looked up before it is used.

`attest` in settings.toml says how: "off", not at all; "kms", by a key in Cloud KMS that no account but
train.yml's may use, beside the image in its registry.
"""

import sys

from delivery import dsse, referrers, settings, statement, trust
from delivery.dsse import ForgedError
from delivery.kms import Kms
from delivery.registry import Registry
from delivery.settings import Environment
from flows.errors import InputError, RetrainError

AGAIN = "press the button of train.yml on main with environment '{}': it builds and signs them"


class UnvouchedError(RetrainError):
    """An image that nobody trusted says to have built."""


def attest(environment: Environment, registry: Registry, digest: str) -> None:
    """Say of an image that this run of train.yml has built it. Raises RetrainError, InputError."""
    if environment.attest != "kms":
        return
    key = Kms(str(environment.attest_key))
    said = statement.made(registry.name, digest)
    envelope = dsse.sign(said, key.version, key.sign)
    try:
        _checked(environment, envelope, registry.name, digest)
    except ForgedError as error:
        raise RetrainError(
            f"{trust.path(environment)} does not trust what this run has signed: {error}",
            "./scripts/doctor says what does not fit: attest_key, or the key in that file",
        ) from None
    referrers.attach(registry, digest, dsse.ENVELOPE, envelope)
    print(f"attested      {registry.name}@{digest[:19]}… · {key.version}", file=sys.stderr)


def reusable(environment: Environment, registry: Registry, digest: str | None) -> bool:
    """Whether the image that is there, if one is, may be used as it is.

    Raises InputError where it has to be built, and only train.yml may do that, or without a trust root.
    """
    if environment.attest != "off":
        trust.read(environment)  # before anything is built that could not be signed then
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
    name, reasons = f"{registry.name}@{digest}", list[str]()
    for envelope in referrers.attached(registry, digest, dsse.ENVELOPE):
        try:
            _checked(environment, envelope, registry.name, digest)
        except ForgedError as error:
            reasons.append(str(error))
        else:
            return
    why = "; ".join(reasons) or "there is no attestation of it"
    raise UnvouchedError(
        f"{name}: nobody trusted says that train.yml built it: {why}",
        AGAIN.format(environment.name),
    )


def check_used(environment: Environment, image: str) -> None:
    """The same of the image, HOST/…/NAME@DIGEST, that a model was made with."""
    if environment.attest != "off":
        name, _, digest = image.partition("@")
        check(environment, Registry(name), digest)


def _refuse_others(environment: Environment) -> None:
    if environment.attest == "off" or statement.is_ours(settings.load().repository):
        return
    raise InputError(
        f"'{environment.name}' attests its images (attest = \"{environment.attest}\"), and only"
        " train.yml on main can",
        AGAIN.format(environment.name),
    )


def _checked(environment: Environment, envelope: bytes, image: str, digest: str) -> None:
    """That a trusted key signed just what is wanted. Raises ForgedError."""
    keys = trust.read(environment)
    said, name = dsse.opened(envelope, trust.publics(keys))
    if since := trust.expired(keys, name):
        raise ForgedError(f"its key counts no more since {since:%Y-%m-%d}: {name}")
    if reasons := list(statement.wrong(said, image, digest, settings.load().repository)):
        raise ForgedError("; ".join(reasons))
