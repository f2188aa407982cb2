"""Make the README's pictures from a finished demo: the reports, a phantom beside its labels, the registry.

Run `make demo` first, then `make pictures`. Needs Chromium and its driver.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from flows.environment import WHOLE_CONFIG
from lidcflow.config import Config
from lidcflow.config.file import load_config
from lidcflow.learn.snapshot import Snapshot
from lidcflow.report.index import ReportIndex
from lidcflow.store.volumes import VolumeStore
from tasks.tracking.connection import Tracking, pages
from tasks.tracking.registry import list_releases

mpl.use("Agg")
from matplotlib import pyplot as plt

DOCS = Path(__file__).parent
CLASS_COLOURS = ("#3b4252", "#4ea1ff", "#ff6b5e")
CLASS_NAMES = ("non-nodule", "benign", "malignant")
LUNG_WINDOW_HU = (-1350, 150)
CHROMIUM_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


def main() -> None:
    """Write the four pictures beside this file."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "demo").absolute()
    config = load_config(folder / "lidcflow.toml")
    phantom_beside_labels(config, DOCS / "phantom.png")
    with browser(1360, 1080) as driver:
        with reports_server(config) as address:
            photograph(driver, f"{address}/studies/{study_of(config)}/", DOCS / "study-page.png")
            driver.set_window_size(1360, 620)
            photograph(driver, address, DOCS / "reports-index.png")
            driver.set_window_size(1360, 1080)
        with mlflow_server(config) as address:
            photograph(driver, release_page(address, config), DOCS / "registry.png", wait_s=12)


def release_page(address: str, config: Config) -> str:
    """Return the address of the newest release in the registry."""
    tracking = Tracking.of(config)
    version = list_releases(tracking)[0].version
    return pages(address, tracking)["releases"].replace("?", f"/versions/{version}?")


def phantom_beside_labels(config: Config, file: Path) -> None:
    """Draw slices of the stored series with the most nodule slices, the maximum channel, above its 65 labels."""
    snapshot = Snapshot.load(max((config.workspace / "snapshots").glob("*.parquet"), key=os.path.getmtime))
    table = snapshot.table
    uid = table[table.label > 0].series_instance_uid.value_counts().index[0]
    labels = table[table.series_instance_uid == uid].sort_values("slice").label.to_numpy()
    hu = VolumeStore.of(config).read_hu(uid)
    figure = plt.figure(figsize=(9.2, 2.5), facecolor="#10141a")
    draw_slices(figure, hu[1], labels)
    draw_labels(figure, labels)
    save_small(figure, file)


def draw_slices(figure: plt.Figure, hu: NDArray[np.int16], labels: NDArray[np.integer]) -> None:
    """Show seven slices from top to bottom, nodule slices first choice, each framed in the colour of its label."""
    shares = np.linspace(0.08, 0.86, 7)
    for column, share in enumerate(shares):
        wanted = share * len(labels)
        number = min(range(len(labels)), key=lambda k: abs(k - wanted) - 3 * (labels[k] > 0))
        axes = figure.add_axes((0.01 + column * 0.141, 0.36, 0.132, 0.54))
        axes.imshow(hu[number], cmap="gray", vmin=LUNG_WINDOW_HU[0], vmax=LUNG_WINDOW_HU[1])
        axes.set_title(f"slice {number + 1}", color="#d8dee9", fontsize=8, pad=3)
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set(color=CLASS_COLOURS[labels[number]], linewidth=2.5)


def draw_labels(figure: plt.Figure, labels: NDArray[np.integer]) -> None:
    """Show the label of every slice as one strip, top of the chest on the left."""
    axes = figure.add_axes((0.01, 0.21, 0.978, 0.11))
    axes.bar(range(1, len(labels) + 1), 1, width=0.86, color=[CLASS_COLOURS[label] for label in labels])
    axes.set(xlim=(0.4, len(labels) + 0.6), ylim=(0, 1), yticks=[], xticks=[1, 13, 26, 39, 52, 65])
    axes.tick_params(colors="#d8dee9", labelsize=8, length=0)
    axes.set_facecolor("#10141a")
    axes.spines[:].set_visible(False)
    legend = [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in CLASS_COLOURS]
    figure.legend(legend, CLASS_NAMES, loc="lower right", ncols=3, fontsize=8, frameon=False, labelcolor="#d8dee9")
    figure.text(0.01, 0.035, "Synthetic phantom, research use only", color="#8892a2", fontsize=8)


def save_small(figure: plt.Figure, file: Path) -> None:
    """Save with a palette: a quarter of the bytes."""
    buffer = BytesIO()
    figure.savefig(buffer, dpi=130, facecolor=figure.get_facecolor())
    plt.close(figure)
    shrink(buffer, file)


def shrink(image: BytesIO, file: Path) -> None:
    """Write a PNG with 256 colours."""
    Image.open(image).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)
    print(f"{file.name}: {file.stat().st_size // 1024} KiB")


@contextmanager
def browser(width: int, height: int) -> Iterator[webdriver.Chrome]:
    """Start Debian's Chromium without a window."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in (*CHROMIUM_FLAGS, f"--window-size={width},{height}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        yield driver
    finally:
        driver.quit()


def photograph(driver: webdriver.Chrome, address: str, file: Path, *, wait_s: float = 1.0) -> None:
    """Open a page, wait until it has drawn itself, and save what a person sees."""
    driver.get(address)
    time.sleep(wait_s)
    for close in driver.find_elements("css selector", "[aria-label='Close'], [aria-label='close']"):
        close.click()
    time.sleep(1)
    shrink(BytesIO(driver.get_screenshot_as_png()), file)


def study_of(config: Config) -> str:
    """Return study and series of the reading whose best slice is the surest."""
    found = [entry for entry in ReportIndex(config.reports_path).entries() if entry.glance and entry.glance.highest]
    key = max(found, key=lambda entry: entry.glance.highest).key
    return f"{key.study}/{key.series}"


@contextmanager
def reports_server(config: Config) -> Iterator[str]:
    """Serve the demo's reports on a free port of loopback."""
    port = free_port()
    command = [sys.executable, "-m", "flows.reports.server"]
    served = config.model_copy(update={"serve": config.serve.model_copy(update={"reports_port": port})})
    with running(command, {WHOLE_CONFIG: served.model_dump_json()}, f"http://127.0.0.1:{port}"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def mlflow_server(config: Config) -> Iterator[str]:
    """Serve the demo's registry on a free port of loopback."""
    port = free_port()
    command = [str(Path(sys.executable).parent / "mlflow"), "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", config.tracking_uri]
    with running(command, {"DO_NOT_TRACK": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}, f"http://127.0.0.1:{port}"):
        yield f"http://127.0.0.1:{port}"


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], variables: dict[str, str], address: str) -> Iterator[None]:
    """Run a server in the block, from when it answers."""
    process = subprocess.Popen(command, env={**os.environ, **variables}, start_new_session=True)
    try:
        wait_for(f"{address}/health")
        yield
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


def wait_for(address: str, limit_s: float = 120.0) -> None:
    """Wait until a server answers."""
    end_s = time.monotonic() + limit_s
    while time.monotonic() < end_s:
        try:
            urllib.request.urlopen(address, timeout=5)
            return
        except OSError:
            time.sleep(0.5)
    raise TimeoutError(f"{address}: must answer within {limit_s:.0f} s, but did not")


if __name__ == "__main__":
    main()
