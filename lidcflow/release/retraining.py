"""Whether to train again, and why: decisions from what has changed since the newest release, and the last one kept."""

from __future__ import annotations

from typing import Any

import pandas as pd

from lidcflow.config import Config, RetrainConfig
from lidcflow.config.science import portable
from lidcflow.release.pins import EMBEDDED, DetectorPin
from lidcflow.release.record import ReleaseRecord
from lidcflow.stats.estimate import Record

RETRY_AFTER_H = 24.0
"""Time after which a training that failed is tried again on the same data: a check may be due every few minutes."""

_NOT_DECISIVE = {"engine", "precision"}
"""Settings of [train] that the backbone's id holds already."""


class Changes(Record):
    """Changes since the newest release was trained.

    Parameters
    ----------
    new_series, gone_series : int
        Labelled series that came and went; erased ones are not counted as gone.
    relabelled, remade : int
        Series whose labels or whose volumes are others.
    settings : tuple of str
        Names of the settings that are others.
    erased : tuple of str
        What the release says of data that were erased.
    snapshot_lost : bool
        Whether the release was trained on something else, and its snapshot is not kept: nobody can tell on what.
    """

    new_series: int = 0
    gone_series: int = 0
    relabelled: int = 0
    remade: int = 0
    settings: tuple[str, ...] = ()
    erased: tuple[str, ...] = ()
    snapshot_lost: bool = False

    def __str__(self) -> str:
        counts = {
            "new labelled series": self.new_series,
            "series gone": self.gone_series,
            "series relabelled": self.relabelled,
            "series preprocessed anew": self.remade,
        }
        parts = [f"{count} {what}" for what, count in counts.items() if count]
        parts += [f"other settings: {', '.join(self.settings)}"] if self.settings else []
        parts += ["another snapshot, and the old one is lost"] if self.snapshot_lost else []
        return ", ".join([*parts, *self.erased]) or "nothing has changed"

    @property
    def any_data(self) -> bool:
        """Whether any series or label is another."""
        return bool(self.new_series or self.gone_series or self.relabelled or self.remade or self.snapshot_lost)


class Newest(Record):
    """The newest release as the decision sees it: its age in days, and what has changed since."""

    version: int
    age_days: float
    changes: Changes


class Failed(Record):
    """The last training, which failed on the same data with the same settings: hours since, and the error's type."""

    hours: float
    error: str


class Decision(Record):
    """Whether to train now, and why or why not, as the second half of a sentence."""

    due: bool
    why: str


def changes_between(before: pd.DataFrame, now: pd.DataFrame) -> Changes:
    """Compare two training sets series by series.

    Parameters
    ----------
    before, now : DataFrame
        Tables of `lidcflow.learn.snapshot.Snapshot`.

    Returns
    -------
    Changes
        Of series, labels and volumes.
    """
    old, new = _by_series(before), _by_series(now)
    both = old.keys() & new.keys()
    return Changes(
        new_series=len(new.keys() - both),
        gone_series=len(old.keys() - both),
        relabelled=sum(old[uid][0] != new[uid][0] for uid in both),
        remade=sum(old[uid][1] != new[uid][1] for uid in both),
    )


def changed_settings(
    record: ReleaseRecord, config: Config, backbone_id: str, detector: DetectorPin | None = None
) -> tuple[str, ...]:
    """Name the settings that are not those of a release.

    Parameters
    ----------
    record : ReleaseRecord
        The release.
    config : Config
        In force now, with the choices of the release that still hold (`lidcflow.release.choices.kept_choices`).
    backbone_id : str
        Of the backbone at hand: it names weights, input, size and engine.
    detector : DetectorPin, optional
        What would read the candidates that are stored; None where there are none.
    """
    pairs = {
        "preprocess": (record.preprocess, config.preprocess),
        "labels": (record.labels, config.labels.portable),
        "split": (record.split, config.split),
        "train": (record.train, portable(config.train)),
    }
    named = [
        f"{section}.{key}"
        for section, (theirs, ours) in pairs.items()
        for key in type(ours).model_fields
        if key not in _NOT_DECISIVE and getattr(theirs, key) != getattr(ours, key)
    ]
    named += [] if _same_detector(record.nodules, detector) else ["the detector of nodules"]
    same_backbone = backbone_id == record.backbone.id or any(name.startswith("train.backbone") for name in named)
    return tuple(named if same_backbone else [*named, "the backbone's weights or engine"])


def _same_detector(pinned: DetectorPin | None, at_hand: DetectorPin | None) -> bool:
    """Return whether the same would read candidates; a detector of one's own is trained from the one at hand."""
    if pinned is None or at_hand is None:
        return pinned is at_hand
    own = pinned.detector != EMBEDDED
    return own or (pinned.sha256, pinned.threshold) == (at_hand.sha256, at_hand.threshold)


def decide(config: RetrainConfig, newest: Newest | None, failed: Failed | None, *, force: bool = False) -> Decision:
    """Decide whether to train; the first rule that applies counts.

    Parameters
    ----------
    config : RetrainConfig
        How many new series, and how often.
    newest : Newest, optional
        None where there is no release yet.
    failed : Failed, optional
        None where the last training did not fail, or was about other data or settings.
    force : bool
        Train whatever the rules say.

    Examples
    --------
    >>> decide(RetrainConfig(), None, None).why
    'there is no release yet'
    """
    if force:
        return Decision(due=True, why="it was asked for")
    wanted = _wanted(config, newest)
    if wanted.due and failed and failed.hours < RETRY_AFTER_H:
        return Decision(
            due=False,
            why=f"it would be time, because {wanted.why}, but the same training failed {failed.hours:.1f} h ago with "
            f"{failed.error}; it is tried again after {RETRY_AFTER_H:.0f} h, when something changes, or by "
            "`lidcflow retrain --force`",
        )
    return wanted


def _wanted(config: RetrainConfig, newest: Newest | None) -> Decision:
    if newest is None:
        return Decision(due=True, why="there is no release yet")
    changes, since = newest.changes, f"since version {newest.version}"
    if changes.erased:
        return Decision(due=True, why=f"version {newest.version} is marked: {changes.erased[-1]}")
    if changes.settings:
        return Decision(due=True, why=f"settings have changed {since}: {', '.join(changes.settings)}")
    if changes.new_series >= config.new_series:
        return Decision(due=True, why=f"{changes.new_series} new labelled series have come {since}")
    if not changes.any_data:
        return Decision(due=False, why=f"nothing has changed {since}")
    if newest.age_days >= config.at_least_every_days:
        return Decision(due=True, why=f"{newest.age_days:.0f} days have passed {since}, and since then: {changes}")
    return Decision(
        due=False,
        why=f"{since} there are {changes}; it is time at {config.new_series} new series or after "
        f"{config.at_least_every_days:g} days, and {newest.age_days:.1f} have passed",
    )


def _by_series(table: pd.DataFrame) -> dict[str, tuple[Any, str]]:
    """Return labels and volume digest of each series."""
    ordered = table.sort_values(["series_instance_uid", "slice"])
    return {
        str(uid): (tuple(rows["label"]), str(rows["volume_digest"].iloc[0]))
        for uid, rows in ordered.groupby("series_instance_uid")
    }
