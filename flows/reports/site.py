"""Data of the server: the reports of a workspace, the inference volumes, and the folder of marks."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from re import compile as pattern

import numpy as np
from numpy.typing import NDArray

from lidcflow.config import Config
from lidcflow.errors import LidcflowError
from lidcflow.nodules.planes import finding_planes
from lidcflow.nodules.stored import read_candidates
from lidcflow.report.folder import ReportKey, report_folder
from lidcflow.report.index import ReportIndex
from lidcflow.report.marks import Mark, MarkKind, add_mark
from lidcflow.report.marks_table import FeedbackTable
from lidcflow.report.page import PAGE, Patches, as_usual
from lidcflow.report.recommendation import Recommendation
from lidcflow.store.volumes import VolumeStore

OTHER_PAGES = ("releases", "experiments")
_NAME = pattern(r"[A-Za-z0-9][A-Za-z0-9._-]*")
log = logging.getLogger(__name__)


@dataclass
class Site:
    """The reports of a workspace."""

    config: Config
    listing: ReportIndex = field(init=False)

    def __post_init__(self) -> None:
        self.listing = ReportIndex(self.root)

    @property
    def root(self) -> Path:
        """Folder of the reports."""
        return self.config.reports_path.absolute()

    def read_hu(self, said: Recommendation) -> NDArray[np.int16] | None:
        """Return exactly the volume that a recommendation is about, as people look at it; None where it is gone."""
        if said.volume is None:
            return None
        try:
            store = VolumeStore.found(self.config.inbox_store_root, self.config.access)
            if store is None or store.record(said.series_instance_uid).volume_digest != said.volume.volume_digest:
                return None
            return as_usual(said, store.read_hu(said.series_instance_uid))
        except LidcflowError as error:
            log.warning("%s", error)
            return None

    def read_planes(self, said: Recommendation) -> Patches:
        """Return the planes through the findings of a recommendation by their ranks; none where they are gone."""
        if not said.findings:
            return {}
        try:
            store = VolumeStore.found(self.config.inbox_store_root, self.config.access)
            stored = None if store is None else read_candidates(store, said.series_instance_uid)
            return finding_planes(said.findings, stored)
        except LidcflowError as error:
            log.warning("%s", error)
            return {}

    def keep(self, key: ReportKey, said: Recommendation, saying: MarkKind) -> tuple[Mark, ...]:
        """Keep a mark beside the report and in the catalog, and return the whole history.

        The file is what counts: a catalog that can't be written now gets the mark with the next one, or from
        `lidcflow evaluate --feedback`.
        """
        folder = report_folder(self.root, key)
        if folder is None:
            return ()
        marks = add_mark(folder, said, saying, datetime.now(UTC))
        try:
            with FeedbackTable(self.config.catalog) as table:
                table.replace(said.series_instance_uid, said.study_instance_uid, marks)
        except LidcflowError as error:
            log.warning("%s", error)
        return marks

    def other_pages(self) -> Iterator[tuple[str, str]]:
        """Name the pages of evaluations and experiments, with their addresses."""
        for kind in OTHER_PAGES:
            for page in sorted((self.root / kind).glob(f"*/{PAGE}")):
                if self.other_page(kind, page.parent.name):
                    yield f"{kind.removesuffix('s')} {page.parent.name}", f"/{kind}/{page.parent.name}/{PAGE}"

    def other_page(self, kind: str, name: str) -> Path | None:
        """Return where such a page lies, None for anything else."""
        folder = self.root / kind / name
        safe = kind in OTHER_PAGES and _NAME.fullmatch(name) and not folder.is_symlink()
        return folder / PAGE if safe else None
