"""How a deployed model's server is started, as its specification says."""

from pathlib import Path

from localcloud.serving_spec import Spec


def test_a_variable_names_those_before_it_and_no_later_ones() -> None:
    given = [("A", "$(AIP_MODE) $(B)"), ("B", "$(A)!"), ("AT", "at $(AIP_HTTP_PORT)"), ("C", "$$(A)")]
    none, own = Path("/nowhere"), {"AIP_MODE": "PREDICTION"}
    argv = ["program", "$(B)"]
    spec = Spec(argv, "/", own, given, none, none, "/health", "/predict", 1.0, 1.0, 1.0, 1)
    order = spec.order(8080)
    assert order.env == own | {
        "AIP_HTTP_PORT": "8080",
        "A": "PREDICTION $(B)",
        "B": "PREDICTION $(B)!",
        "AT": "at 8080",
        "C": "$(A)",
    }
    assert order.argv == ["program", "PREDICTION $(B)!"]
