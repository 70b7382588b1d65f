"""An image of packages that poetry cannot lock: what decides its content, and what its file must say."""

from pathlib import Path
from typing import Any

import pytest

from delivery import builder, image, lock, requirements, settings
from delivery.builder import Builder
from flows.errors import InputError
from tests.delivery.test_builder import HASH, LOCK, replaced, tree

ONE, TWO = f"--hash=sha256:{'1' * 64}", f"--hash=sha256:{'2' * 64}"
FILE = str(requirements.FOLDER / "torch.txt")
TORCH = f"""\
# made
--extra-index-url https://packages.example.com/cpu
torch==2.13.0+cpu ; sys_platform == "linux" \\
    {ONE} \\
    {TWO}
torch==2.13.0 ; sys_platform == "darwin" {TWO}
sympy==1.14.0 \\
    {ONE}
"""
LIGHT = """
[[package]]
name = "lightgbm"
version = "4.7.0"
groups = ["lightgbm"]
files = [{{file = "lightgbm.whl", hash = "sha256:cc"}}]

[metadata]"""


def test_it_holds_main_and_its_file(tmp_path: Path) -> None:
    root = tree(tmp_path, **{FILE: TORCH})
    linux, darwin = (
        'torch==2.13.0+cpu ; sys_platform == "linux"',
        'torch==2.13.0 ; sys_platform == "darwin"',
    )
    assert lock.requirements(root, "torch") == ["numpy==2.4.0", "sympy==1.14.0", darwin, linux]
    assert [one.line for one in lock.added(root, "torch")] == [
        f"sympy==1.14.0 {ONE}",
        f"{linux} {ONE} {TWO}",
        f"{darwin} {TWO}",
    ]
    assert requirements.indexes(root, "torch") == ["https://packages.example.com/cpu"]
    assert (lock.added(root, "base"), requirements.load(root, "base")) == ([], [])
    lock.check(root)


def test_of_a_group_of_the_lock_what_main_lacks_is_added(tmp_path: Path) -> None:
    root = tree(tmp_path, **{"poetry.lock": LOCK.replace("[metadata]", LIGHT).format(HASH)})
    assert [one.line for one in lock.added(root, "lightgbm")] == ["lightgbm==4.7.0 --hash=sha256:cc"]


@pytest.mark.parametrize(
    ("old", "new"), [("1.14.0", "1.14.1"), (TWO, f"--hash=sha256:{'3' * 64}"), ("sympy", "simpy")]
)
def test_its_file_decides_its_content_and_base_s_no_more(tmp_path: Path, old: str, new: str) -> None:
    copied = replaced("COPY pyproject.toml poetry.lock ./", f"COPY pyproject.toml {FILE} /build/")
    more = copied | {".dockerignore": f"*\n!flows\n!pyproject.toml\n!{requirements.FOLDER}\n"}
    before = tree(tmp_path / "before", **more, **{FILE: TORCH})
    after = tree(tmp_path / "after", **more, **{FILE: TORCH.replace(old, new)})
    for by in (Builder(), Builder("buildah")):
        assert image.content_key(before, "torch", by) != image.content_key(after, "torch", by)
        assert image.content_key(before, "base", by) == image.content_key(after, "base", by)
        assert image.below_tag(before, "torch", by) != image.below_tag(after, "torch", by)
        assert image.below_tag(before, "base", by) == image.below_tag(after, "base", by)


def test_it_says_how_its_packages_get_onto_a_laptop(tmp_path: Path) -> None:
    root = tree(tmp_path, **{FILE: TORCH})

    def labels(group: str) -> dict[str, str]:
        return dict(image.make(root, group).config["config"]["Labels"])

    assert labels("torch")["python.requirements.install"] == "./scripts/setup --packages torch"
    assert "python.requirements.install" not in labels("base")


@pytest.mark.parametrize(
    ("group", "groups", "file"), [("torch", "main", "torch"), ("base", "main", ""), ("light", "", "")]
)
def test_the_engine_is_told_the_lock_s_groups_and_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: str, groups: str, file: str
) -> None:
    called = list[list[str]]()
    monkeypatch.setattr(builder, "_buildah", lambda arguments, folder: called.append(arguments))
    root: Any = tree(tmp_path / "tree", **{FILE: TORCH})
    if not groups:
        with pytest.raises(InputError, match=f"no dependency group '{group}'(.|\n)*main, torch"):
            lock.packages(root, group)
        return
    builder.build(root, group, Builder("buildah"), tmp_path / "image")
    assert {f"DEPENDENCY_GROUPS={groups}", f"REQUIREMENTS={file}"} <= set(called[0])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("sympy==1.14.0", "sympy>=1.14.0", "'sympy>=1.14.0 --hash"),
        (f"\\\n    {ONE}\n", "\n", "'sympy==1.14.0' is not NAME==VERSION with --hash"),
        ("--extra-index-url", "--index-url", "'--index-url https://packages.example.com/cpu' is not"),
        ("sympy==1.14.0", "SymPy==1.14.0", "'SymPy==1.14.0 --hash"),
        ('"darwin"', '"darwin" --no-binary torch', "--no-binary torch"),
        ("sympy==1.14.0", "numpy==2.4.0", "numpy is in the main group of poetry.lock, too"),
    ],
)
def test_a_file_that_leaves_something_open_is_refused(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    root = tree(tmp_path, **{FILE: TORCH.replace(old, new)})
    with pytest.raises(InputError) as caught:
        lock.check(root)
    assert f"{FILE}: " in caught.value.what
    assert said in caught.value.what


def test_torch_is_without_cuda_and_the_same_on_every_python() -> None:
    found = {one.name: one for one in requirements.load(settings.ROOT, "torch") if "linux" in one.marker}
    assert found["torch"].version.endswith("+cpu")
    assert len(found["torch"].hashes) == 6  # 3.11, 3.12, 3.13 on x86-64 and ARM
    names = {one.name for one in requirements.load(settings.ROOT, "torch")}
    assert not [name for name in names if name.startswith(("nvidia", "cuda", "triton"))]
