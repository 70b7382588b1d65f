"""How every verb ends: an exit code, and one clear error on standard error."""

import os
import sys
from collections.abc import Callable

from flows.errors import RetrainError, is_service_s

INTERRUPTED = 130
PIPE_CLOSED = 141


def run(main: Callable[[list[str]], int]) -> int:
    """`main` with the command line's arguments; errors as DESIGN's exit codes say."""
    try:
        return main(sys.argv[1:])
    except RetrainError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # `… | head` has what it wanted; what Python still holds back for it would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except Exception as error:
        if not is_service_s(error):
            raise
        # What a service said and nobody foresaw: its words help, our call stack does not.
        print(f"error: {type(error).__name__}: {error}", file=sys.stderr)
        return RetrainError.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
