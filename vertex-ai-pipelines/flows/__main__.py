"""`python -m flows STEP --executor-input JSON`: what a component's command runs."""

import sys

from flows.errors import RetrainError, explained
from flows.step import main

if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Exception as error:
        known = error if isinstance(error, RetrainError) else explained(error)
        if known is None:
            raise
        print(f"error: {known}", file=sys.stderr)
        sys.exit(known.exit_code)
