"""Shared by tests."""

from pathlib import Path

SQUARE = ((4, 4), (4, 8), (8, 8), (8, 4))


def roi(image, z_mm, points=SQUARE, inclusion="TRUE"):
    edges = "".join(f"<edgeMap><xCoord>{x}</xCoord><yCoord>{y}</yCoord></edgeMap>\n" for x, y in points)
    return (
        f"<roi><imageZposition>{z_mm} </imageZposition><imageSOP_UID>{image}</imageSOP_UID>"
        f"<inclusion>{inclusion}</inclusion>{edges}</roi>\n"
    )


def nodule(*rois, malignancy=4):
    rated = f"<characteristics><malignancy>{malignancy}</malignancy></characteristics>" if malignancy else ""
    return f"<unblindedReadNodule><noduleID>1</noduleID>{rated}{''.join(rois)}</unblindedReadNodule>\n"


def message(*sessions, root="LidcReadMessage", uid="1.2.3"):
    read = "".join(f"<readingSession>{session}</readingSession>\n" for session in sessions)
    return (
        f'<?xml version="1.0"?>\n<{root} xmlns="http://www.nih.gov"><ResponseHeader>\n'
        f"<SeriesInstanceUid>{uid}</SeriesInstanceUid></ResponseHeader>\n{read}</{root}>"
    )


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
