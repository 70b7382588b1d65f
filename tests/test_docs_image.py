"""docs/image.md tells of each package that the image is asked to hold."""

import re
import tomllib

from tests.clone import ROOT

ROW = re.compile(r"\| (?P<name>[\w-]+) \| (?P<wheel>[\d.]+) \| (?P<image>[\d.]+) \| \S.* \|")


def test_every_dependency_has_its_cost_and_its_reason() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    rows = list(map(ROW.fullmatch, (ROOT / "docs" / "image.md").read_text().splitlines()))
    found = {row["name"]: (float(row["wheel"]), float(row["image"])) for row in rows if row}
    assert set(found) == {line.partition(" ")[0] for line in wanted}
    assert all(image <= wheel for wheel, image in found.values())
