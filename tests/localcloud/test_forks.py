"""Processes by a fork of a warm Python: like those of a new interpreter, in what a program can see."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from localcloud.forks import LOST, Order, Process, Server, start
from tests.eventually import eventually

Run = Callable[..., tuple[int, str]]
# What a new interpreter and a fork have to agree on.
PLAIN = """
import sys, os, json
main = sys.modules["__main__"]
print(json.dumps([sys.argv, sys.path[:2], __name__, main is sys.modules[__name__], sorted(os.environ),
    os.getcwd(), sys.stdin.read(), os.getpid() == os.getsid(0), len(os.listdir("/proc/self/fd")) < 6,
    os.environ.get("WORD"), __file__ if "__file__" in globals() else None]))
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "tool.py").write_text(PLAIN)
    (tmp_path / "own" / "colorsys.py").write_text("WORD = 'mine'")
    return tmp_path


@pytest.fixture
def server(home: Path) -> Iterator[Server]:
    made = Server(sys.executable, {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}, home / "learned")
    yield made
    made.close()


@pytest.fixture
def run(server: Server, home: Path) -> Run:
    """Runs Python, forked or `fresh`; gives the exit code and what it said."""

    def run(*words: str, fresh: bool = False, **env: str) -> tuple[int, str]:
        log = home / "log"
        log.unlink(missing_ok=True)
        variables = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **env}
        argv = words if words[0] == "sh" else (sys.executable, *words)
        code = start(server.control, Order(argv, str(home), variables, str(log), fresh)).wait()
        return code, log.read_text()

    return run


@pytest.mark.parametrize(
    "words",
    [("-c", PLAIN, "a", "-b"), ("-m", "tool", "a"), ("own/tool.py", "a"), ("-m", "own.tool")],
)
def test_a_fork_is_as_a_new_interpreter(run: Run, home: Path, words: tuple[str, ...]) -> None:
    env = {"PYTHONPATH": str(home / "own"), "WORD": "x"}
    forked, fresh = (run(*words, fresh=fresh, **env) for fresh in (False, True))
    assert forked == fresh
    assert forked[0] == 0


@pytest.mark.parametrize(
    "code",
    [
        "import sys; sys.exit(3)",
        "import sys; sys.exit('it is broken')",
        "import sys; sys.exit()",
        "def f():\n    1 / 0\nf()",
        "import absent",
        "import os; os._exit(7)",
        "import os; os.kill(os.getpid(), 15)",
        "import atexit; atexit.register(print, 'end')",
        "import threading; threading.Timer(0.01, print, 't').start()",
        "f = open('kept', 'w'); f.write('all of it')",
        "import sys; print('out'); print('err', file=sys.stderr)",
        "not python",
    ],
)
def test_every_end_is_that_of_an_interpreter(run: Run, home: Path, code: str) -> None:
    ends = []
    for fresh in (False, True):
        (home / "kept").unlink(missing_ok=True)
        told = run("-c", code, fresh=fresh, PYTHONUNBUFFERED="1")
        kept = (home / "kept").read_text() if (home / "kept").exists() else None
        ends.append((told, kept))
    assert ends[0] == ends[1]


def test_what_one_imported_the_next_one_has_but_not_the_programs_own(run: Run, home: Path) -> None:
    env = {"PYTHONPATH": str(home / "own")}
    assert run("-c", "import colorsys, wave, tool", **env)[0] == 0
    code = "import sys; print([name in sys.modules for name in ('wave', 'colorsys', 'tool')])"
    assert run("-c", code) == (0, "[True, False, False]\n")
    assert "wave" in (home / "learned").read_text().split()


def test_a_programs_own_module_comes_before_a_learned_one(run: Run, home: Path) -> None:
    assert run("-c", "import colorsys; print(colorsys.__file__)")[0] == 0
    code = "import colorsys; print(colorsys.WORD)"
    assert run("-c", code, PYTHONPATH=str(home / "own")) == (0, "mine\n")


def test_forks_share_no_random_numbers(run: Run) -> None:
    code = "import random, numpy.random; print(random.random(), numpy.random.rand())"
    assert run("-c", code)[0] == 0  # so that the next two find both modules there
    first, second = (run("-c", code)[1].split() for _ in range(2))
    assert all(one != other for one, other in zip(first, second, strict=True))


def test_libraries_with_threads_of_their_own_work_in_forks(run: Run) -> None:
    code = (
        "import numpy, pyarrow, pyarrow.compute, scipy.linalg, multiprocessing;"
        "a = numpy.ones((300, 300)); print((a @ a).sum(), scipy.linalg.det(numpy.eye(50)),"
        "pyarrow.compute.sum(pyarrow.array(range(10**6))),"
        "multiprocessing.get_context('spawn').Pool(2).map(abs, [1, -2]))"
    )
    told = {run("-c", code) for _ in range(3)}
    assert told == {(0, "27000000.0 1.0 499999500000 [1, 2]\n")}


def test_only_what_leaves_a_thread_is_not_preloaded(home: Path) -> None:
    thread = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()"
    ended = "import threading\nthread = threading.Thread(target=int)\nthread.start()"
    programs = {
        "agent/__init__": thread,  # as a monitoring agent's would
        "agent/part": "",
        "asker": "import agent.part",
        "ended": ended,
    }
    (home / "more" / "agent").mkdir(parents=True)
    for name, program in programs.items():
        (home / "more" / f"{name}.py").write_text(program)
    learned = ["colorsys", "ended", "agent", "agent.part", "asker", "wave"]
    (home / "taught").write_text("\n".join(learned))
    env = {"PATH": "/usr/bin:/bin"}
    names = "{'agent', 'agent.part', 'asker', 'colorsys', 'ended', 'wave'}"
    code = f"import threading, sys; print(threading.active_count(), sorted({names} & set(sys.modules)))"
    order = Order([sys.executable, "-c", code], str(home), env, str(home / "log"))
    way = {"PYTHONPATH": str(home / "more")}
    with closing(Server(sys.executable, env | way, home / "taught")) as made:
        assert start(made.control, order).wait() == 0
    assert (home / "log").read_text() == "1 ['colorsys', 'ended', 'wave']\n"
    kept = ["!agent", "!asker", "colorsys", "ended", "wave"]
    assert (home / "taught").read_text().split() == kept


def test_a_process_that_imports_what_is_left_out_does_not_put_it_back(run: Run, home: Path) -> None:
    code = (
        "import sys; print({'onnxruntime', 'colorsys'} & set(sys.modules)); import onnxruntime, colorsys"
    )
    told = [run("-c", code)[1] for _ in range(3)]
    assert told == ["set()\n", *["{'colorsys'}\n"] * 2]
    names = (home / "learned").read_text().split()
    assert [name for name in names if name.startswith(("!", "onnxruntime"))] == ["!onnxruntime"]


LEAVE = "import os, subprocess; subprocess.Popen(['sleep', '600']); print(os.getpid(), flush=True)"


def sleeper(server: Server, home: Path) -> tuple[Process, int]:
    """A process that has started another one, and waits."""
    log = home / "log"
    code = f"{LEAVE}; import time; time.sleep(600)"
    env = {"PATH": "/usr/bin:/bin"}
    process = start(server.control, Order([sys.executable, "-c", code], str(home), env, str(log)))
    eventually(lambda: log.exists() and log.read_text().endswith("\n"))
    return process, int(log.read_text())


def in_session(leader: int) -> list[str]:
    """The living processes of a session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(words[3]) == leader and words[0] != "Z":
            found.append(stat.parent.name)
    return found


def none_left(leader: int) -> None:
    """Return when the session is empty."""
    eventually(lambda: not in_session(leader))


def test_killing_ends_a_process_and_what_it_started(server: Server, home: Path) -> None:
    process, leader = sleeper(server, home)
    assert len(in_session(leader)) == 2
    assert process.kill() == -signal.SIGKILL
    none_left(leader)


def test_what_a_process_leaves_running_ends_with_it(run: Run) -> None:
    code, told = run(
        "-c", "import os, subprocess; subprocess.Popen(['sleep', '600']); print(os.getpid())"
    )
    assert code == 0
    none_left(int(told))


def test_all_end_with_the_server(server: Server, home: Path) -> None:
    process, leader = sleeper(server, home)
    server.close()
    none_left(leader)
    assert process.wait() in (LOST, -signal.SIGKILL)


def test_a_process_ends_with_a_killed_server(server: Server, home: Path) -> None:
    process, leader = sleeper(server, home)
    os.kill(server._process.pid, signal.SIGKILL)
    assert process.wait() == LOST
    eventually(lambda: str(leader) not in in_session(leader))
    assert not server.runs
    os.killpg(leader, signal.SIGKILL)  # what it had itself started lives on: end it here


def test_a_command_that_is_not_there_is_told(run: Run) -> None:
    code, told = run("sh", "-c", "exec nosuch")
    assert (code, "nosuch" in told) == (127, True)
