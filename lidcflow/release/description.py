"""Descriptions of a release and its sector models for the registry: a sentence first, then links and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lidcflow.notice import STATEMENT
from lidcflow.release import tables
from lidcflow.release.card import (
    detector_sentence,
    folds_sentence,
    gate_sentence,
    in_a_sentence,
    pins_sentence,
    systems_of,
)
from lidcflow.release.pins import SectorPin
from lidcflow.release.record import ReleaseRecord
from lidcflow.release.tables import table

MOST_CHARACTERS = 4500
"""MLflow's column holds 5,000, and PostgreSQL refuses more; an erasure may put a sentence in front."""

LEFT_OUT_FIRST = ("gate", "systems", "folds", "sectors", "of findings", "findings", "pins")

_LOAD = """import mlflow

release = mlflow.pyfunc.load_model("models:/{name}/{version}")
table = release.predict("a DICOM folder")  # slices and findings"""

_FEATURES = """import lidcflow as lf
import mlflow
from lidcflow.config import TrainConfig
from lidcflow.learn.engines import load_engine
from lidcflow.learn.features import volume_features

store = lf.open_store("lidcflow-workspace/store")
engine = load_engine(TrainConfig({settings}), {size})
(features,) = volume_features(engine, [store.volume(store.series[0]).values])
model = mlflow.pyfunc.load_model("{uri}")
probabilities = model.predict(features[{first}:{stop}].astype("float32"))  # non-nodule, benign, malignant"""


def release_description(record: ReleaseRecord, links: Mapping[str, str]) -> str:
    """Describe a release in the registry; its card, an artifact of its training's run, contains more.

    Parameters
    ----------
    record : ReleaseRecord
        The release.
    links : mapping of str to str
        From what people read to the page behind it.

    Returns
    -------
    str
        Markdown of `MOST_CHARACTERS` at most: sections that do not fit are left to the card, those of `LEFT_OUT_FIRST`
        in their order.
    """
    sections = _sections(record, links)
    for name in LEFT_OUT_FIRST:
        if len(text := paged([part for parts in sections.values() for part in parts])) <= MOST_CHARACTERS:
            return text
        if sections.pop(name, None):
            sections["more"] = ["The model card, an artifact of the training's run, has the tables that are not here."]
    return paged([part for parts in sections.values() for part in parts])[:MOST_CHARACTERS]


def _sections(record: ReleaseRecord, links: Mapping[str, str]) -> dict[str, list[str]]:
    pin = record.nodules
    return {
        "head": [
            f"{in_a_sentence(record)} {STATEMENT}",
            gate_sentence(record),
            _line(links),
            _code(_LOAD.format(name=record.name, version=record.version)),
            "### Figures, with 95% intervals over patients",
            tables.figures_table(record),
        ],
        "folds": [folds_sentence(record), tables.folds_table(record)] if record.folds else [],
        "findings": ["### Findings", detector_sentence(pin)] if pin else [],
        "systems": systems_of(record) if pin else [],
        "of findings": [tables.findings_table(record)] if pin and record.findings else [],
        "sectors": ["### Sectors", tables.sectors_table(record)],
        "gate": ["### Gate", tables.checks_table(record.gate)] if record.gate.checks else [],
        "pins": [pins_sentence(record)],
    }


def sector_description(record: ReleaseRecord, pin: SectorPin, links: Mapping[str, str]) -> str:
    """Describe a sector model as a release pins it, with the way back to the release.

    Parameters
    ----------
    record : ReleaseRecord
        The release.
    pin : SectorPin
        The first of its sectors that the model answers for.
    links : mapping of str to str
        As for `release_description`.
    """
    answers = [
        str(one.sector) for one in record.sectors if (one.model_name, one.version) == (pin.model_name, pin.version)
    ]
    counts = pin.training
    head = ["answers for sectors", "trained on (none/benign/malignant)", "AUROC validation", "AUROC test"]
    row = [
        ", ".join(answers),
        f"{counts.non_nodule}/{counts.benign}/{counts.malignant}",
        *(str(of.get("auroc_nodule", "-")) for of in (pin.validation, pin.test)),
    ]
    return paged(
        [
            f"Turns the features of a slice of {_what(record, pin)} into P(non-nodule), P(benign) and P(malignant). "
            f"{STATEMENT}",
            _line(links),
            table(head, [row]),
            "### Features and probabilities in Python",
            sector_lines(record, pin),
        ]
    )


def sector_lines(record: ReleaseRecord, pin: SectorPin) -> str:
    """Return the lines of Python that compute features of a stored series and apply a sector model to them."""
    return _code(
        _FEATURES.format(
            settings=_backbone_settings(record),
            size=record.backbone.size,
            uri=pin.uri,
            first=pin.first_slice - 1,
            stop=pin.last_slice,
        )
    )


def _backbone_settings(record: ReleaseRecord) -> str:
    kind, images = record.backbone.kind, record.train.images
    weights = "" if kind == "compact" else ', backbone_weights="the weight file"'
    if images is None:
        return f'backbone="{kind}"{weights}'
    digest = f', backbone_sha256="{record.backbone.digest}"'
    return f'backbone="{kind}"{weights}{digest}, engine="{record.train.engine}", images={images.model_dump()}'


def about_sector(record: ReleaseRecord, pin: SectorPin) -> str:
    """Describe what all versions of a sector model are."""
    return (
        f"The model of {_what(record, pin)}: features of a slice in, probabilities of its class out. A release "
        f"pins which version answers. {STATEMENT}"
    )


def paged(parts: Sequence[str]) -> str:
    """Put parts below each other as MLflow's page needs them: it draws cells and headings without space between."""
    lines = "\n\n".join(f"&nbsp;\n\n{part}" if part.startswith("#") else part for part in parts).splitlines()
    return "\n".join(line if set(line) <= set("|- ") else line.replace(" | ", "&emsp; | ") for line in lines)


def _what(record: ReleaseRecord, pin: SectorPin) -> str:
    whole = pin.fallback or record.sector_num == 1
    return "the whole chest" if whole else f"sector {pin.sector} of {record.sector_num}"


def _code(lines: str) -> str:
    return f"```python\n{lines}\n```"


def _line(links: Mapping[str, str]) -> str:
    return "Pages: " + ", ".join(f"[{text}]({page})" for text, page in links.items()) + "."
