"""The one exception family, and what each member means for a program's exit code."""

import errno

VENDORS = ("google.", "grpc", "requests", "urllib3", "botocore", "github", "kfp")
DISK = {
    errno.ENOSPC: "free some space there, then call it again",
    errno.EDQUOT: "free some space there, then call it again",
    errno.EROFS: "make it writable, then call it again",
    errno.EACCES: "give this user the right to write there, then call it again",
}


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


def explained(error: Exception) -> RetrainError | None:
    """What a client library or a disk said and nobody foresaw; None where it is a defect of ours.

    Its words help a person, our call stack does not.
    """
    if isinstance(error, OSError) and error.errno in DISK:
        return RetrainError(f"{error.filename or 'a file'}: {error.strerror}", DISK[error.errno])
    if type(error).__module__.startswith(VENDORS):
        return RetrainError(f"{type(error).__name__}: {error}")
    return None
