"""Files of readings."""


def write(folder, name, *rows, header="series_instance_uid,sop_instance_uid,z_mm,reader,malignancy"):
    file = folder / name
    file.write_text("\n".join([header, *rows]) + "\n")
    return file
