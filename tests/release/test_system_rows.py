from lidcflow.release.card import systems_of
from lidcflow.release.pins import ModelPin, SystemFacts
from lidcflow.release.system_rows import system_rows, system_sentences
from lidcflow.stats.estimate import Estimate
from tests.nodules.pins import PIN


def record_with(release_record, *systems):
    return release_record.model_copy(update={"nodules": PIN, "systems": systems})


def trained(kind, *, pinned):
    model = ModelPin(name=f"lidcflow.nodules.{kind}", version=3, sha256="ab")
    figures = {"auroc": Estimate(value=0.9, low=0.8, high=1.0), "auroc_embedded": Estimate(value=0.8)}
    return SystemFacts(kind=kind, reason=f"{kind} was measured", pinned=pinned, model=model, validation=figures)


def test_trained_systems_have_a_row_with_what_they_reach_beside_the_embedded_one(release_record):
    record = record_with(release_record, SystemFacts(kind="segmenter", reason="too few"), trained("svm", pinned=True))

    assert system_rows(record) == [
        ("svm", "lidcflow.nodules.svm version 3", "AUROC", "0.900 (0.80 to 1.00)", "0.800", "-", "-", "yes")
    ]


def test_what_answers_is_named_with_its_reason(release_record):
    record = record_with(
        release_record,
        SystemFacts(kind="segmenter", reason="too few"),
        trained("svm", pinned=True),
        trained("ridge", pinned=False),
    )

    assert system_sentences(record) == [
        "Outlines by the embedded segmenter: too few.",
        "P(malignant) by lidcflow.nodules.svm version 3: svm was measured.",
    ]
    assert "| svm |" in "\n".join(systems_of(record))


def test_systems_that_were_not_trained_for_the_same_reason_share_a_sentence(release_record):
    facts = [SystemFacts(kind=kind, reason="too few") for kind in ("segmenter", "svm", "ridge")]

    assert system_sentences(record_with(release_record, *facts))[1] == (
        "P(malignant) by the embedded malignancy model: too few."
    )
    assert systems_of(release_record) == []
