"""The images of infra/Dockerfile, built by buildah from a Debian of debootstrap, and programs inside them.

Nothing is pulled: the base has the distribution's Python, and pip installs with the configuration of this machine,
which is mounted while an image is built and is no part of it.
"""

from __future__ import annotations

import configparser
import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PLACE = ROOT / "build" / "images"
"""Where Debian and the images stay, so that another run builds what has changed."""

BASE, MIRROR = "localhost/lidcflow-base", "http://deb.debian.org/debian"
PACKAGES = "python3,python3-venv,ca-certificates"
SLIM = ("var/cache/apt/archives", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale", "usr/share/man")
"""Folders that the slim official images leave out, too."""

USER = "10001"
BUILD_WITHIN_S, RUN_WITHIN_S = 3600, 900
CERTIFICATES = Path("/etc/ssl/certs")

# The mounts are private to the process; the root is bound read-only once all that lies below it has its place.
INSIDE = """
set -eu
root=$1 user=$2; shift 2
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
for pair in $MOUNTS; do
  mkdir -p "$root${pair##*:}"
  mount --bind "${pair%%:*}" "$root${pair##*:}"
done
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -o remount,bind,ro "$root"
exec /usr/sbin/chroot "$root" /usr/bin/setpriv --reuid="$user" --regid="$user" --clear-groups --no-new-privs \\
  --bounding-set=-all --inh-caps=-all "$@"
"""


def why_not_images() -> str:
    """Return why images can't be built here, or nothing."""
    if os.geteuid():
        return "images are built as root here, and this is another user"
    path = f"{os.environ['PATH']}:/usr/sbin"
    missing = [name for name in ("buildah", "debootstrap", "unshare") if shutil.which(name, path=path) is None]
    return (
        f"images are not built here: {', '.join(missing)} is missing (Debian packages of that name)" if missing else ""
    )


def buildah(*words: str, within_s: float = BUILD_WITHIN_S) -> str:
    """Run buildah on a storage of its own, and return what it says."""
    storage = ["--root", PLACE / "storage", "--runroot", PLACE / "run", "--storage-driver", "overlay"]
    done = subprocess.run(
        ["buildah", *map(str, storage), *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=within_s,
        check=False,
    )
    assert done.returncode == 0, f"buildah {words}: {done.stdout[-4000:]}"
    return done.stdout.strip()


def make_base() -> None:
    """Make the base image once: a minimal Debian with Python under the name that official images have for it."""
    if BASE in buildah("images", "--format", "{{.Name}}"):
        return
    debian = PLACE / "debian"
    shutil.rmtree(debian, ignore_errors=True)
    release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    made = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", release["VERSION_CODENAME"], debian, MIRROR]
    subprocess.run(list(map(str, made)), check=True, capture_output=True, timeout=BUILD_WITHIN_S)
    (debian / "usr/bin/python").symlink_to("python3")
    for folder in SLIM:
        shutil.rmtree(debian / folder)
    container = buildah("from", "--pull-never", "scratch")
    buildah("add", "--quiet", container, str(debian), "/")
    buildah("commit", "--quiet", "--rm", container, BASE)
    shutil.rmtree(debian)


def build(target: str) -> float:
    """Build one target of infra/Dockerfile, and return how long it took, in seconds."""
    started_s = time.monotonic()
    mounts = [word for path in of_pip() for word in ("--volume", f"{path}:{path}:ro")]
    options = ["--isolation", "chroot", "--pull-never", "--layers", "--build-arg", f"PYTHON_IMAGE={BASE}"]
    buildah("bud", *options, *mounts, "--file", "infra/Dockerfile", "--target", target, "--tag", name_of(target), ".")
    return time.monotonic() - started_s


def of_pip() -> list[Path]:
    """Return the files and folders that pip on this machine is configured with: certificates, indices, wheels."""
    files = [Path("/etc/pip.conf"), Path("/etc/xdg/pip"), Path.home() / ".config" / "pip", CERTIFICATES]
    settings = configparser.ConfigParser()
    settings.read([file / "pip.conf" if file.is_dir() else file for file in files])
    words = [
        word for key in ("find-links", "extra-index-url") for word in settings.get("global", key, fallback="").split()
    ]
    local = [Path(word.removeprefix("file://")) for word in words if word.startswith(("/", "file:///"))]
    return [
        path for path in (*files, *(path.parent if path.name == "simple" else path for path in local)) if path.exists()
    ]


def name_of(target: str) -> str:
    """Return the name of the image of a target."""
    return f"localhost/lidcflow:{target}"


def configuration(target: str) -> dict[str, Any]:
    """Return what an image says of itself: user, entrypoint, environment."""
    return dict(json.loads(buildah("inspect", "--type", "image", name_of(target)))["OCIv1"]["config"])


class Image:
    """The files of a built image, and programs that run there as its containers do."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.container = buildah("from", "--pull-never", name_of(target))
        self.root = Path(buildah("mount", self.container))
        self.configuration = configuration(target)

    def remove(self) -> None:
        """Remove the container; the image stays."""
        buildah("umount", self.container)
        buildah("rm", self.container)

    def size_bytes(self) -> int:
        """Return the size of all its files."""
        done = subprocess.run(["du", "-sxB1", self.root], check=True, capture_output=True, text=True)
        return int(done.stdout.split()[0])

    def packages(self) -> set[str]:
        """Return the names of the Python packages that are installed."""
        found = (self.root / "opt/venv/lib").glob("python3*/site-packages/*.dist-info")
        return {path.name.partition("-")[0].lower().replace("_", "-") for path in found}

    def start(
        self, *command: str, mounts: Mapping[Path, str] | None = None, environ: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start a command by the image's entrypoint: its user, a read-only root, no capabilities, no privileges."""
        variables = dict(word.split("=", 1) for word in self.configuration["Env"])
        pairs = " ".join(f"{here}:{there}" for here, there in (mounts or {}).items())
        entrypoint: Sequence[str] = self.configuration["Entrypoint"]
        return subprocess.Popen(
            [
                "unshare",
                "--mount",
                "--pid",
                "--fork",
                "--kill-child",
                "sh",
                "-c",
                INSIDE,
                "sh",
                self.root,
                USER,
                *entrypoint,
                *command,
            ],
            env={**variables, "HOME": "/tmp", "MOUNTS": pairs, **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(
        self,
        *command: str,
        mounts: Mapping[Path, str] | None = None,
        environ: Mapping[str, str] | None = None,
        codes: Sequence[int] = (0,),
    ) -> str:
        """Run a command to its end, and return what it says."""
        with self.start(*command, mounts=mounts, environ=environ) as process:
            said, _ = process.communicate(timeout=RUN_WITHIN_S)
        assert process.returncode in codes, f"{command}: exit code {process.returncode}\n{said}"
        return said
