"""Five trivial steps, the same for all: text in, text out. `five.py STEP OUT IN` runs one."""

import sys
from pathlib import Path


def get_data(seed: str) -> str:
    return f"{seed} 1 2 3"


def preprocess(data: str) -> str:
    return " ".join(reversed(data.split()))


def train(training: str) -> str:
    return str(sum(map(int, training.split())))


def evaluate(model: str) -> str:
    return str(int(model) * 2)


def upload_model(metric: str) -> str:
    return f"uploaded {metric}"


STEPS = (get_data, preprocess, train, evaluate, upload_model)


def expected(seed: str) -> str:
    """What the last step says."""
    value = seed
    for step in STEPS:
        value = step(value)
    return value


def main(step: str, out: str, given: str) -> None:
    """`given` is a text, or a file that holds it."""
    path = Path(given)
    value = path.read_text() if path.is_file() else given
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    Path(out).write_text({one.__name__: one for one in STEPS}[step](value))


if __name__ == "__main__":
    main(*sys.argv[1:4])
