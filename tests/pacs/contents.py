"""Shared by tests."""


def contents_of(folder):
    return [path.read_bytes() for path in sorted(folder.iterdir())]
