"""End a process when the one that needs it is gone: ``python -P -m flows.leash PID``.

Who starts a leash holds the other end of its standard input. However that one goes, even by ``kill -9``, the pipe
closes. Prefect's temporary server is stopped by an exit handler, which a killed flow never reaches.
"""

import contextlib
import subprocess
import sys

import psutil

GRACE_S = 5.0

_held: list["subprocess.Popen[bytes]"] = []
"""Leashes of this process; the system closes their pipes when it ends."""


def leash(pid: int) -> None:
    """End a process together with this one, at the latest."""
    _held.append(subprocess.Popen([sys.executable, "-P", "-m", "flows.leash", str(pid)], stdin=subprocess.PIPE))


def main(pid: int) -> None:
    """Wait until standard input is closed, then end a process that is still there."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        sys.stdin.buffer.read()
        process.terminate()
        if psutil.wait_procs([process], timeout=GRACE_S)[1]:
            process.kill()


if __name__ == "__main__":
    main(int(sys.argv[1]))
