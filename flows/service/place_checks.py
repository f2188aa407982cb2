"""Check what the scheduled flows read and write: before `lidcflow up` starts, and for `lidcflow doctor`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial

from flows.environment import WHOLE_CONFIG
from flows.service.servers import process_environment
from lidcflow.config import Config
from lidcflow.errors import ConfigError, LidcflowError, ReleaseError, TrackingUnavailable
from lidcflow.inbox.targets import FolderTarget, parse_target
from lidcflow.source.places import checked_source, parse_source
from lidcflow.store.locate import is_store
from tasks.tracking.in_force import configured_release
from tasks.tracking.place import Tracking
from tasks.tracking.record import CHAMPION
from tasks.tracking.releases import champion_version

RELEASE_LIMIT_S = 120.0
_PACS_NAME = re.compile("pacs:[A-Za-z0-9_-]+")


def check_places(config: Config) -> None:
    """Raise for sources and targets with which scheduled runs would fail.

    Raises
    ------
    ConfigError
        If there are any; the sentence names each with its key.
    """
    if faults := [*source_faults(config), *target_faults(config)]:
        raise ConfigError("; also ".join(faults))


def source_faults(config: Config) -> Iterator[str]:
    """Yield a sentence for each configured source that names nothing, or that can't be read."""
    sources = [("archive", config.archive)] if config.archive else []
    for key, source in [*sources, *(("inbox", inbox) for inbox in config.inboxes)]:
        yield from _faults_of(partial(checked_source, source, config.access), _label(key, source))


def target_faults(config: Config) -> Iterator[str]:
    """Yield a sentence for each target that documents can't be delivered to, or that lies in a source."""
    for target in (parse_target(text, config.access) for text in config.delivery.to):
        yield from _faults_of(target.check, _label("delivery.to", target.text))
        if isinstance(target, FolderTarget):
            inboxes = [source for source in config.inboxes if parse_source(source).encloses(target.folder)]
            yield from (_inside(target.text, source) for source in inboxes)


def release_fault(config: Config) -> str | None:
    """Return what keeps the inbox from being read now, where a scheduled training or a server that comes back mends it.

    Raises
    ------
    ReleaseError
        If the release can't be loaded, or there is none and nothing to train one on.
    """
    tracking = Tracking.of(config)
    try:
        configured_release(config)
    except TrackingUnavailable as error:
        return str(error)
    except ReleaseError as error:
        to_come = config.infer.release == CHAMPION and champion_version(tracking) is None
        if to_come and (config.archive or is_store(config.store_root, config.access)):
            return f"{error}; the inbox waits until a release is in force"
        raise
    return None


def check_release(config: Config) -> str | None:
    """Do as `release_fault` in a process of its own: `lidcflow up` need not keep MLflow in memory for months.

    Raises
    ------
    ReleaseError
        As `release_fault`.
    """
    if not config.inboxes:
        return None
    command = [sys.executable, "-P", "-m", "flows.service.place_checks"]
    try:
        done = subprocess.run(
            command,
            env=process_environment(config),
            capture_output=True,
            text=True,
            timeout=RELEASE_LIMIT_S,
            check=True,
        )
        fatal, sentence = json.loads(done.stdout.splitlines()[-1])
    except (subprocess.SubprocessError, ValueError, IndexError):
        return "release: must be found in the registry, got no answer; `lidcflow doctor` says more"
    if fatal:
        raise ReleaseError(sentence)
    return sentence or None


def _label(key: str, place: str) -> str:
    """Return the key, and the name of a PACS behind it, which its own sentence leaves out: an address may be typed."""
    return f"{key} {place}" if _PACS_NAME.fullmatch(place) else key


def _faults_of(check: Callable[[], object], key: str) -> Iterator[str]:
    try:
        check()
    except LidcflowError as error:
        sentence = str(error)
        yield sentence if sentence.startswith(key) else f"{key}: {sentence}"


def _inside(target: str, source: str) -> str:
    return (
        f"delivery.to: the folder {target} must lie outside the inbox, or documents are read as new series, got one in "
        f"{source}; name another"
    )


def main() -> None:
    """Print whether the release's fault is for good, and its sentence."""
    try:
        answer = (False, release_fault(Config.model_validate_json(os.environ[WHOLE_CONFIG])))
    except ReleaseError as error:
        answer = (True, str(error))
    except LidcflowError as error:
        answer = (False, str(error))
    sys.stdout.write(f"\n{json.dumps(answer)}\n")


if __name__ == "__main__":
    main()
