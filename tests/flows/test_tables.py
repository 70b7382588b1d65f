"""Tables that several threads read at once."""

import subprocess
import sys
from pathlib import Path

import flows

PROGRAM = """
import sys, threading
from flows.tables import Table, convert
sys.setswitchinterval(1e-6)

def kind():
    class Part(Table):
        names: dict[str, int]
        sizes: list[float]
    class Whole(Table):
        one: Part
        more: list[Part]
        named: dict[str, Part]
        number: int | None = None
    return Whole

part = {"names": {"a": 1}, "sizes": [1.0]}
value = {"one": part, "more": [part], "named": {"b": part}, "number": 2}
for _ in range(80):
    new, together = kind(), threading.Barrier(6)
    def read():
        together.wait()
        convert(value, new, "it")
    threads = [threading.Thread(target=read) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


def test_a_type_s_first_use_may_be_by_several_threads() -> None:
    place = str(Path(flows.__file__).parents[1])
    program = subprocess.run([sys.executable, "-c", PROGRAM], env={"PYTHONPATH": place}, check=False)
    assert program.returncode == 0
