"""The folders of the reports."""

from lidcflow.report.folder import ReportKey, report_keys
from lidcflow.report.index import ReportIndex


def test_folders_with_other_names_and_files_are_no_reports(put, study, tmp_path):
    put(1, study().to_json())
    for name in ("releases/lidcflow-v1", "unknown-study/1.2.5", "1.2.6/a", ".hidden/1.2"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "1.2.7").write_text("")

    keys = set(report_keys(tmp_path))

    assert keys == {ReportKey("1.2.1", "1.2.840.2"), ReportKey("unknown-study", "1.2.5")}
    assert len(ReportIndex(tmp_path).entries()) == 1
