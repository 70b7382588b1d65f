"""How every verb ends: an exit code, and one clear error on standard error."""

import sys
from collections.abc import Callable

from flows.errors import RetrainError

INTERRUPTED = 130


def run(main: Callable[[list[str]], int]) -> int:
    """`main` with the command line's arguments; errors as DESIGN's exit codes say."""
    try:
        return main(sys.argv[1:])
    except RetrainError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
