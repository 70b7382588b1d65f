"""How every verb ends: an exit code, and one clear error on standard error."""

import os
import sys
from collections.abc import Callable

from delivery import lazy
from flows.errors import RetrainError, explained

INTERRUPTED = 130
GOES_ON = "calling it again is safe; what it had started, and is not said to be cancelled, goes on"
PIPE_CLOSED = 141


def run(main: Callable[[list[str]], int]) -> int:
    """`main` with the command line's arguments; errors as DESIGN's exit codes say."""
    lazy.imported(*lazy.AIPLATFORM)
    try:
        return main(sys.argv[1:])
    except BrokenPipeError:
        # `… | head` has what it wanted; what Python still holds back for it would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except Exception as error:
        known = error if isinstance(error, RetrainError) else explained(error)
        if known is None:
            raise
        print(f"error: {known}", file=sys.stderr)
        return known.exit_code
    except KeyboardInterrupt:
        print(f"interrupted   {GOES_ON}", file=sys.stderr)
        return INTERRUPTED
