"""The time from a study that is whole in the inbox to its answer in a folder, by a served workspace.

    python -m benchmarks.arrival [--series 5] [--slices 140]

`lidcflow up` runs twice on the same new studies, one after the other: with runs that are forked from a warm process,
and with each run as a process of its own. Each study is announced by `lidcflow inbox notify` once it is there. The
answers are those of the embedded release; the first study warms everything up and is left out.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from benchmarks.figures import record_ratio
from flows.service.lock import served

START_LIMIT_S = 300.0
ANSWER_LIMIT_S = 180.0
LOOK_EVERY_S = 0.02
BETWEEN_S = 8.0
"""Between an answer and the next study: the round has ended by then."""

UP = "from flows.cli import main; main()"
WAYS = {
    "forked from a warm process": UP,
    "a process of its own": f"""
from dataclasses import replace
from flows.service import up
from flows.service.fork_client import FORK_SERVER
worker = up.worker
def without_forks(*arguments):
    process = worker(*arguments)
    return replace(process, environment={{k: v for k, v in process.environment.items() if k != FORK_SERVER}})
up.worker = without_forks
{UP}
""",
}


def main() -> None:
    """Measure both ways and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=5)
    parser.add_argument("--slices", type=int, default=140, help="of a series at most")
    options = parser.parse_args()
    medians_s, cpu_medians_s = [], []
    with tempfile.TemporaryDirectory() as folder:
        studies = make_studies(Path(folder) / "new", options.series + 1, options.slices)
        for number, (way, program) in enumerate(WAYS.items()):
            answers = answered(Path(folder) / str(number), program, studies)[1:]
            walls_s, cpu_s = zip(*answers, strict=True)
            medians_s.append(statistics.median(walls_s))
            cpu_medians_s.append(statistics.median(cpu_s))
            print(
                f"{way:28} {medians_s[-1]:5.1f} s ({min(walls_s):.1f} to {max(walls_s):.1f}), "
                f"{cpu_medians_s[-1]:5.1f} s of CPU",
                flush=True,
            )
    for what, (forked_s, own_s) in {"time": medians_s, "CPU time": cpu_medians_s}.items():
        print(f"{'ratio of the ' + what:28} {own_s / forked_s:5.2f}")
        record_ratio(f"a run as a process of its own: its {what} to an answer by that of a fork", own_s / forked_s)


def make_studies(folder: Path, count: int, slices: int) -> list[Path]:
    """Make phantoms; return the folder of each series."""
    size = ("--series", str(count), "--max-slices", str(slices), "--seed", "77")
    run_lidcflow("phantom", str(folder), *size, folder=folder.parent)
    return sorted({file.parent for file in folder.rglob("*.dcm")})


def answered(folder: Path, program: str, studies: list[Path]) -> list[tuple[float, float]]:
    """Serve a new workspace and send it the studies; return wall and CPU time of each, in seconds."""
    answers, inbox = folder / "answers", folder / "inbox"
    for place in (answers, inbox):
        place.mkdir(parents=True)
    ports = free_ports(4)
    (folder / "lidcflow.toml").write_text(
        f'workspace = "workspace"\ninbox = "{inbox}"\ninfer.release = "embedded"\n'
        f'delivery.to = ["{answers}"]\n'
        f"serve.prefect_port = {ports[0]}\nserve.mlflow_port = {ports[1]}\n"
        f"serve.reports_port = {ports[2]}\nserve.readers_port = {ports[3]}\n"
    )
    found = []
    with serving(folder, program) as process:
        for number, study in enumerate(studies):
            time.sleep(BETWEEN_S)
            shutil.copytree(study, inbox / str(number))
            before = len(list(answers.rglob("*.dcm")))
            began_s, cpu_s = time.monotonic(), cpu_of(process)
            run_lidcflow("inbox", "notify", folder=folder)
            while len(list(answers.rglob("*.dcm"))) == before:
                if time.monotonic() - began_s > ANSWER_LIMIT_S:
                    raise SystemExit(f"no answer within {ANSWER_LIMIT_S:.0f} s; see {folder}")
                time.sleep(LOOK_EVERY_S)
            found.append((time.monotonic() - began_s, cpu_of(process) - cpu_s))
    return found


@contextmanager
def serving(folder: Path, program: str) -> Iterator[psutil.Process]:
    """Run `lidcflow up` for as long as the block runs."""
    with (folder / "up.log").open("w") as log:
        command = [sys.executable, "-P", "-c", program, "up"]
        up = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        try:
            deadline_s = time.monotonic() + START_LIMIT_S
            while served(folder / "workspace") is None or "Ctrl-C" not in (folder / "up.log").read_text():
                if up.poll() is not None or time.monotonic() > deadline_s:
                    raise SystemExit((folder / "up.log").read_text())
                time.sleep(0.5)
            yield psutil.Process(up.pid)
        finally:
            up.send_signal(signal.SIGTERM)
            up.wait()


def cpu_of(process: psutil.Process) -> float:
    """Return the CPU time of a process and all below it, those that have ended included, in seconds."""
    total_s = 0.0
    for one in [process, *process.children(recursive=True)]:
        with suppress(psutil.Error):
            times = one.cpu_times()
            total_s += times.user + times.system + times.children_user + times.children_system
    return total_s


def run_lidcflow(*arguments: str, folder: Path) -> None:
    """Run a command in a folder, without a configuration from outside."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LIDCFLOW_")}
    command = [sys.executable, "-P", "-c", UP, *arguments]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)


def free_ports(count: int) -> list[int]:
    """Return ports of this machine that nothing listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


if __name__ == "__main__":
    main()
