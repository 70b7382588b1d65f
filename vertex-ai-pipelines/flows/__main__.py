"""`python -m flows STEP --executor-input JSON`, a component's command; `python -m flows serve`."""

import sys

from flows.errors import RetrainError, explained


def main(argv: list[str]) -> int:
    """A step, or the prediction server: neither loads what only the other needs."""
    if argv[:1] == ["serve"]:
        from flows.serving import server

        return server.main(argv[1:])
    from flows import step

    return step.main(argv)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Exception as error:
        known = error if isinstance(error, RetrainError) else explained(error)
        if known is None:
            raise
        print(f"error: {known}", file=sys.stderr)
        sys.exit(known.exit_code)
