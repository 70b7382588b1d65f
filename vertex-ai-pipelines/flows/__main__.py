"""`python -m flows STEP --executor-input JSON`: what a component's command runs."""

import sys

from flows.errors import RetrainError, is_service_s
from flows.step import main

if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except RetrainError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except Exception as error:
        if not is_service_s(error):
            raise
        print(f"error: {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(RetrainError.exit_code)
