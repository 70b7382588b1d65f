"""Text from outside, made safe for a pull request's Markdown; and numbers made readable."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

LONGEST = 300  # characters of one piece of text from outside
MOST = 20  # lines of a block
MOST_POINTS = 100  # of a line chart
LIVELY = re.compile(r"([\\`*_{}\[\]|~])")


def text(value: object) -> str:
    """`value` on one line, with nothing in it that Markdown, HTML or GitHub would act on."""
    plain = _line(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    escaped = LIVELY.sub(r"\\\1", plain)
    # A mention or a reference begins at a word's start: a space without width takes that away.
    return re.sub(r"(?<!\w)([@#])(?=\w)", "\\1\u200b", escaped)


def code(value: object) -> str:
    """`value` as a code span that also fits into a table's cell."""
    return f"`{re.sub(r'[`|<>]', '?', _line(value))}`"


def label(value: object) -> str:
    """`value` as a quoted name in a Mermaid chart."""
    return f'"{re.sub(r"[^A-Za-z0-9@._ %-]", "?", _line(value))}"'


def number(value: float | None) -> str:
    """Four digits for a share, thousands for a count, a dash for what is not there."""
    if value is None:
        return "–"
    if float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def signed(value: float) -> str:
    """A difference, always with its sign: three digits, or a whole number."""
    return f"{value:+.3g}" if abs(value) < 1000 else f"{value:+,.0f}"


def interval(low: float | None, high: float | None, shown: Callable[[float], str] = number) -> str:
    """[low, high] with a space before, to stand behind a number; nothing where there is none."""
    return "" if low is None or high is None else f" [{shown(low)}, {shown(high)}]"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table; its cells are Markdown already."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def block(lines: Iterable[str]) -> str:
    """The last lines of a text from outside, as they are, where nothing acts on them."""
    kept = "\n".join([_line(line, keep_spaces=True) for line in lines][-MOST:])
    fence = "`" * (1 + max([2, *(len(run) for run in re.findall("`+", kept))]))
    return f"{fence}text\n{kept}\n{fence}"


def bars(title: str, values: Mapping[str, float]) -> str:
    """A bar chart that GitHub draws itself."""
    top, bottom = max(0.0, *values.values()), min(0.0, *values.values())
    margin = (top - bottom) * 0.1 or 1.0
    low = bottom - margin if bottom < 0 else 0
    lines = [
        "```mermaid",
        "xychart-beta",
        f"    title {label(title)}",
        f"    x-axis [{', '.join(label(name) for name in values)}]",
        f"    y-axis {low:.4g} --> {top + margin:.4g}",
        f"    bar [{', '.join(f'{value:.6g}' for value in values.values())}]",
        "```",
    ]
    return "\n".join(lines)


def line(title: str, values: Sequence[float]) -> str:
    """A line chart that GitHub draws itself: one value a turn, from the first; of many, every n-th."""
    shown = values[:: -(-len(values) // MOST_POINTS)]
    lines = [
        "```mermaid",
        "xychart-beta",
        f"    title {label(title)}",
        f"    x-axis 1 --> {len(values)}",
        f"    line [{', '.join(f'{value:.4g}' for value in shown)}]",
        "```",
    ]
    return "\n".join(lines)


def _line(value: object, keep_spaces: bool = False) -> str:
    one = "".join(c if c.isprintable() else " " for c in str(value))
    one = one.rstrip() if keep_spaces else " ".join(one.split())
    return one if len(one) <= LONGEST else one[: LONGEST - 1] + "…"
