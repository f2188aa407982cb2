"""Configuration files."""


def write(folder, text):
    file = folder / "lidcflow.toml"
    file.write_text(text)
    return file
