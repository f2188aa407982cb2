"""What the registry's pages say of a release and of its sector models: a sentence first, then links, then tables."""

from __future__ import annotations

from collections.abc import Mapping

from lidcflow.learn import card_tables as tables
from lidcflow.learn.card import gate_sentence, in_a_sentence, pins_sentence
from lidcflow.learn.markdown import table
from lidcflow.learn.release import ReleaseRecord, SectorPin
from lidcflow.read.recommendation import STATEMENT


def release_description(record: ReleaseRecord, links: Mapping[str, str]) -> str:
    """Describe a release where people browse; the card, an artifact of its training's run, says more.

    Parameters
    ----------
    record : ReleaseRecord
        The release.
    links : mapping of str to str
        From what people read to the page behind it.

    Returns
    -------
    str
        Markdown.
    """
    return "\n\n".join(
        [
            f"{in_a_sentence(record)} {STATEMENT}",
            gate_sentence(record),
            _line(links),
            "### Figures, with 95% intervals over patients",
            tables.figures_table(record),
            "### Sectors",
            tables.sectors_table(record),
            *(["### Gate", tables.checks_table(record.gate)] if record.gate.checks else []),
            pins_sentence(record),
        ]
    )


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
    what = "all sectors" if pin.fallback else f"sector {pin.sector} of {record.sector_num}"
    counts = pin.training
    head = ["answers for sectors", "trained on (none/benign/malignant)", "AUROC validation", "AUROC test"]
    row = [
        ", ".join(answers),
        f"{counts.non_nodule}/{counts.benign}/{counts.malignant}",
        *(str(of.get("auroc_nodule", "-")) for of in (pin.validation, pin.test)),
    ]
    return "\n\n".join(
        [
            f"Turns the features of a slice into P(non-nodule), P(benign) and P(malignant), for {what}. {STATEMENT}",
            _line(links),
            table(head, [row]),
        ]
    )


def _line(links: Mapping[str, str]) -> str:
    return "Pages: " + ", ".join(f"[{text}]({page})" for text, page in links.items()) + "."
