"""Keep a process tree for as long as a pipe is open: ``python -P -m flows.service.guard GRACE_S SIGNAL COMMAND...``.

The one that starts a guard holds the other end of its standard input. However that one goes, even by
``kill -9``, the pipe closes and the guard ends the whole tree: Prefect's flow runs live in sessions of their
own and a worker leaves them behind, so neither a process group nor the worker's own shutdown would do.
SIGTERM makes a guard end its tree without grace.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from functools import partial

import psutil

from flows.service.leftovers import WORKSPACE_MARK, kill_orphans

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
TICK_S = 0.1
KILL_S = 10.0


def main(arguments: list[str]) -> int:
    """Run a command until it ends or the pipe closes, end its tree, and return its exit code (137 after SIGKILL).

    Parameters
    ----------
    arguments : list of str
        Seconds between the request to stop and SIGKILL; name of the signal for the command itself
        (its orphans always get SIGTERM); the command.
    """
    grace_s, first_signal, command = float(arguments[0]), signal.Signals[arguments[1]], arguments[2:]
    starter = os.getppid()
    bell = _bell()
    _adopt_orphans()
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=partial(_die_with_parent, os.getpid()))
    hurry: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: hurry.append(number))
    while child.returncode is None and not hurry and not _closed(bell):
        _reap(child)
    if child.returncode is None:
        child.send_signal(first_signal)
    _end_tree(child, 0.0 if hurry else grace_s, hurry)
    if os.getppid() != starter:
        _end_leftovers()
    code = child.returncode
    return 1 if code is None else 128 - code if code < 0 else code


def _bell() -> int:
    """Return a descriptor that turns readable with every signal, so that waiting needs no polling."""
    bell, ringer = os.pipe()
    os.set_blocking(ringer, False)
    os.set_blocking(bell, False)
    signal.set_wakeup_fd(ringer, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    return bell


def _closed(bell: int) -> bool:
    """Wait for a signal or for the pipe; return whether the pipe was closed."""
    ready, _, _ = select.select([sys.stdin.fileno(), bell], [], [])
    if bell in ready:
        with contextlib.suppress(BlockingIOError):
            os.read(bell, 512)
    return sys.stdin.fileno() in ready


def _adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies (Linux; elsewhere they are looked up before)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _die_with_parent(parent: int) -> None:
    """End together with the guard, also when it was killed before this was arranged."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _end_leftovers() -> None:
    """End processes of this workspace whose guard was killed: nothing else would end them."""
    if workspace := os.environ.get(WORKSPACE_MARK):
        kill_orphans({WORKSPACE_MARK: workspace})


def _reap(child: "subprocess.Popen[bytes]") -> None:
    """Collect every child that has ended, adopted ones too."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == child.pid:
                child.returncode = os.waitstatus_to_exitcode(ended[1])


def _end_tree(child: "subprocess.Popen[bytes]", grace_s: float, hurry: list[int]) -> None:
    """Ask orphans to end until the grace is over, then kill whatever is left."""
    seen: set[psutil.Process] = set()
    asked = {child.pid}
    deadline = time.monotonic() + grace_s
    while _living(seen, child) and time.monotonic() < deadline and not hurry:
        for orphan in psutil.Process().children():
            if orphan.pid not in asked:
                asked.add(orphan.pid)
                _send(orphan, signal.SIGTERM)
        time.sleep(TICK_S)
    deadline = time.monotonic() + KILL_S
    while (left := _living(seen, child)) and time.monotonic() < deadline:
        for process in left:
            _send(process, signal.SIGKILL)
        time.sleep(TICK_S)


def _living(seen: set[psutil.Process], child: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    """Return the processes of the tree that still run; `seen` gathers everyone who ever belonged to it."""
    _reap(child)
    seen.update(psutil.Process().children(recursive=True))
    return [process for process in seen if _runs(process)]


def _runs(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _send(process: psutil.Process, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
