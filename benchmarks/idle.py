"""What an inbox costs in which nothing comes, in CPU seconds: they say the same on a busy machine.

    python -m benchmarks.idle look --config lidcflow.toml [--repeats 5]
    python -m benchmarks.idle served --config lidcflow.toml [--seconds 240]

The workspace needs a release, and an inbox whose series have their answers. `look` compares a look of the poller, in
its warm process, with a run of the flow in a process of its own. `served` starts `lidcflow up`, lets it settle for a
minute, and adds up the CPU time of all its processes and the growth of Prefect's database.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import psutil

from flows.service.lock import served
from flows.service.prefect_database import database_bytes
from lidcflow.config import Config
from lidcflow.config.file import load_config

HOUR_S = 3600.0
SETTLE_S = 60.0
START_LIMIT_S = 600.0
SAMPLE_S = 0.2

RUN = """
import sys, time
from pathlib import Path
from flows.cli.session import flow_session
from lidcflow.config.file import load_config
config = load_config(Path(sys.argv[1]))
with flow_session(config):
    from flows.inbox import inbox
    inbox(config.inboxes, config)
print(time.process_time())
"""

POLL = """
import sys, time
from pathlib import Path
from lidcflow.config.file import load_config
config = load_config(Path(sys.argv[1]))
from flows.service.poller import poll_sources
poll_sources(config)
print(time.process_time())
for _ in range(int(sys.argv[2])):
    began_s = time.process_time()
    poll_sources(config)
    print(time.process_time() - began_s)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("look", "served"))
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=240.0)
    options = parser.parse_args()
    if options.what == "look":
        compare(options.config, options.repeats)
    else:
        serve_idle(options.config, load_config(options.config), options.seconds)


def compare(file: Path, repeats: int) -> None:
    """Print the CPU time of a run and of a look, and how many looks a run is worth."""
    (run_s,) = seconds_printed(RUN, str(file))
    start_s, *looks_s = seconds_printed(POLL, str(file), str(repeats))
    look_s = statistics.median(looks_s)
    print(f"a run in a process of its own  {run_s:7.2f} s")
    print(f"the poller's start, once       {start_s:7.2f} s")
    print(f"a look of the poller           {look_s:7.3f} s, {run_s / look_s:.0f} times less than a run")


def seconds_printed(program: str, *arguments: str) -> list[float]:
    """Run a program in a process of its own, and return the figures that it prints last."""
    said = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    return [float(line) for line in said.stdout.splitlines() if line.replace(".", "", 1).replace("e-", "").isdigit()]


def serve_idle(file: Path, config: Config, seconds: float) -> None:
    """Print the CPU time of each kind of process of an idle `lidcflow up`, for an hour."""
    up = subprocess.Popen(
        [Path(sys.executable).with_name("lidcflow"), "up", "--config", file], stdout=subprocess.DEVNULL
    )
    try:
        wait_until_polled(config)
        before_bytes, began_s = database_bytes(config), time.monotonic()
        spent_s = watch(psutil.Process(up.pid), seconds)
        per_hour = HOUR_S / (time.monotonic() - began_s)
        for name, cpu_s in sorted(spent_s.items(), key=lambda item: -item[1]):
            print(f"{cpu_s * per_hour:8.1f} s/h  {name}")
        print(f"{sum(spent_s.values()) * per_hour:8.1f} s/h  together; Prefect's database grew by "
              f"{(database_bytes(config) - before_bytes) / 1024:.0f} KiB")  # fmt: skip
    finally:
        up.send_signal(signal.SIGINT)
        up.wait()


def wait_until_polled(config: Config) -> None:
    """Wait until the poller has been started, and a while longer."""
    log, deadline_s = config.workspace / "logs" / "inbox-poller.log", time.monotonic() + START_LIMIT_S
    began = time.time()
    while not (served(config.workspace) and log.exists() and log.stat().st_mtime > began):
        if time.monotonic() > deadline_s:
            raise SystemExit("lidcflow up did not start")
        time.sleep(1)
    time.sleep(SETTLE_S)


def watch(up: psutil.Process, seconds: float) -> dict[str, float]:
    """Add up the CPU time that a process and all below it spend, by the name of what they run."""
    first: dict[psutil.Process, float] = {}
    last: dict[psutil.Process, float] = {}
    names: dict[psutil.Process, str] = {}
    end_s = time.monotonic() + seconds
    began = True
    while time.monotonic() < end_s:
        for process in [up, *up.children(recursive=True)]:
            try:
                times = process.cpu_times()
                names.setdefault(process, name_of(process.cmdline()))
            except psutil.NoSuchProcess:
                continue
            last[process] = times.user + times.system
            first.setdefault(process, last[process] if began else 0.0)
        began = False
        time.sleep(SAMPLE_S)
    spent_s: dict[str, float] = {}
    for process, cpu_s in last.items():
        spent_s[names[process]] = spent_s.get(names[process], 0.0) + cpu_s - first[process]
    return spent_s


def name_of(command: list[str]) -> str:
    """Return what a process runs in a few words."""
    line = " ".join(command)
    known = ("prefect server", "mlflow", "prefect worker", "flows.service.poller", "flows.service.inference_cluster")
    known += ("flows.reports.server", "flows.service.guard", "supervisor.json", "lidcflow up")
    return next((name for name in known if name in line), "another process")


if __name__ == "__main__":
    main()
