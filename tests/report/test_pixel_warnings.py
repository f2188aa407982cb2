from lidcflow.pixels.noticed import PixelFaults
from lidcflow.report.page import PAGE, write_report
from lidcflow.report.pixel_warnings import pixel_warnings
from lidcflow.store.record import StoredSlice

IMAGES = tuple(StoredSlice(f"1.2.{number}", number, -5.0 * number) for number in range(1, 17))


def warned(make_record, **noticed):
    return {
        one.code: one.sentence
        for one in pixel_warnings(make_record(source_slices=IMAGES, noticed=PixelFaults(**noticed)))
    }


def test_sound_pixels_get_no_warning(make_record):
    assert warned(make_record) == {}


def test_blank_images_are_named_with_the_slices_they_spoil(make_record):
    assert warned(make_record, blank_slices=(4, 5, 6, 9), blank_slabs=(2, 3)) == {
        "blank-slices": "4 of its 16 images hold one constant value: images 5\u20137, 10, "
        "the first of them instance 1.2.5. Not read and not recommended: slices 3\u20134."
    }


def test_partly_blank_images_are_named(make_record):
    assert (
        "1 of its 16 images holds one constant value: images 8, the first of them instance 1.2.8."
        in (warned(make_record, partly_blank_slices=(7,))["partly-blank-slices"])
    )


def test_implausible_values_say_what_is_lacking(make_record):
    sentence = warned(make_record, implausible=("air", "lung"))["implausible-values"]

    assert sentence.startswith("It has no values of air and lung as a chest in Hounsfield units has")


def test_the_page_shows_gap_and_warning(study, tmp_path, make_record, hu):
    record = make_record(source_slices=IMAGES, noticed=PixelFaults(blank_slices=(7,), blank_slabs=(3,)))
    answer = study(noticed=record.noticed, source_slices=IMAGES).model_copy(update={"warnings": pixel_warnings(record)})

    write_report(answer, hu, tmp_path)

    page = (tmp_path / PAGE).read_text(encoding="utf-8")
    assert "1 of its 16 images holds one constant value" in page
    assert page.count('<polyline class="nodule"') == 2
    assert "Slice 4: blank, not read" in page
    assert [one.slice_number for one in answer.slices if one.blank] == [4]
