"""What was erased and comes again is refused."""

from lidcflow.ct.series import Reason, index_folder
from lidcflow.erasure.subject import Subject
from lidcflow.erasure.verdicts import erased_uids, without_erased
from lidcflow.privacy import PUBLIC_KEY, patient_key


def test_every_series_of_an_erased_patient_is_refused_with_the_way_out_and_others_are_not(ct_series, tmp_path):
    ct_series(tmp_path / "a", patient_id="Ada", series_uid="1.2.3")
    ct_series(tmp_path / "b", patient_id="Grace", series_uid="1.2.4")
    key = patient_key("Ada", PUBLIC_KEY)

    index = without_erased(index_folder(tmp_path, secret=PUBLIC_KEY), {Subject("patient", key)})

    refused, usable = index
    assert (refused.reason, usable.reason) == (Reason.ERASED, Reason.USABLE)
    assert refused.study_instance_uid
    assert "`--forget KEY` would let it in again" in refused.sentence
    assert key not in refused.sentence
    assert erased_uids(index) == {"1.2.3"}


def test_a_series_that_can_not_be_used_is_refused_as_erased_when_its_study_was(ct_series, tmp_path):
    ct_series(tmp_path / "a", series_uid="1.2.3", n=3)
    (verdict,) = found = index_folder(tmp_path, secret=PUBLIC_KEY)

    (refused,) = without_erased(found, {Subject("study", verdict.study_instance_uid)})

    assert (verdict.reason, refused.reason) == (Reason.TOO_FEW_SLICES, Reason.ERASED)
