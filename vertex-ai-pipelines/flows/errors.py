"""The one exception family, and what each member means for a program's exit code."""


class RetrainError(Exception):
    """Something failed: exit code 1.

    `what` says what failed and on which object; `mend` says what to do about it.
    """

    exit_code = 1

    def __init__(self, what: str, mend: str = "") -> None:
        self.what, self.mend = what, mend
        super().__init__(f"{what}\n  mend: {mend}" if mend else what)


class InputError(RetrainError):
    """The caller's input or configuration is wrong: exit code 2."""

    exit_code = 2


VENDORS = ("google.", "grpc", "requests", "urllib3", "botocore", "github", "kfp")


def is_service_s(error: Exception) -> bool:
    """Whether a client library raised it: its words help a person, our call stack does not."""
    return type(error).__module__.startswith(VENDORS)
