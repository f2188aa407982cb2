"""Run a flow as the worker of `lidcflow up` starts it: ``python -P -m flows.service.fork_client``.

The run itself is a fork of `flows.service.flow_forks`, which has imported everything; this process stands for it: what
it prints, the signals that it gets and its exit code. Where no such server answers, it turns into Prefect's engine.
Only the standard library is imported: a run waits for it.
"""

import array
import contextlib
import json
import os
import signal
import socket
import struct
import sys
from types import FrameType

FORK_SERVER = "FORK_SERVER_OF_LIDCFLOW"
"""Variable with the path of the server's socket; it is no setting, as variables that begin with LIDCFLOW_ are."""

LENGTH = struct.Struct("!Q")
"""Bytes of the request, before it; the three standard streams travel with them."""

EXIT_CODE = struct.Struct("!i")
"""The answer: an exit code, or minus the number of the signal that ended the run."""

FORWARDED = (signal.SIGTERM, signal.SIGINT)


def main() -> int:
    """Hand the run to the server and wait for its end; return its exit code."""
    server = connect(os.environ.get(FORK_SERVER))
    if server is None:
        os.execv(sys.executable, [sys.executable, "-P", "-m", "prefect.engine"])  # noqa: S606
    with server:
        return follow(server)


def connect(path: str | None) -> socket.socket | None:
    """Return a connection to the server; None where there is none, or where it does not answer."""
    if not path:
        return None
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        server.connect(path)
    except OSError:
        server.close()
        return None
    return server


def follow(server: socket.socket) -> int:
    """Ask for a run with this process' environment, folder and streams; return its exit code.

    A run that a signal ended ends this process by the same signal.
    """

    def forward(number: int, _: FrameType | None) -> None:
        server.sendall(bytes([number]))

    request = json.dumps({"environment": dict(os.environ), "folder": os.getcwd()}).encode()  # noqa: PTH109 - a slow import
    streams = array.array("i", [0, 1, 2])
    server.sendmsg([LENGTH.pack(len(request))], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
    server.sendall(request)
    for number in FORWARDED:
        signal.signal(number, forward)
    answer = server.recv(EXIT_CODE.size, socket.MSG_WAITALL)
    if len(answer) < EXIT_CODE.size:
        print("the process that starts runs could not start this one, or ended", file=sys.stderr)
        return 1
    code: int = EXIT_CODE.unpack(answer)[0]
    if code < 0:
        with contextlib.suppress(OSError):  # SIGKILL has no handler to take away
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    sys.exit(main())
