"""Chest CT, nodules and recommended slices: ``import lidcflow as lf``.

The names below are loaded when they are first used, so that the import itself takes a few milliseconds. Research use
only, not for diagnosis.

Examples
--------
>>> import lidcflow as lf
>>> sorted(lf.__all__)[:3]
['LidcflowError', 'SeriesResult', 'Store']
"""

from importlib import import_module

_HOMES = {
    "LidcflowError": "lidcflow.errors",
    "SeriesResult": "tasks.api.result",
    "Store": "tasks.api.store",
    "StudyResults": "tasks.api.result",
    "index": "tasks.api.source",
    "make_phantoms": "tasks.api.phantoms",
    "open_store": "tasks.api.store",
    "preprocess": "tasks.api.source",
    "read_study": "tasks.api.study",
}
"""The module that defines each name; `__init__.pyi` has the same names for type checkers."""

__all__ = [*_HOMES]


def __getattr__(name: str) -> object:
    """Load a name when it is first used.

    Raises
    ------
    AttributeError
        If it is none of `__all__`.
    """
    if name not in _HOMES:
        raise AttributeError(f"module 'lidcflow' has no attribute {name!r}; it has {', '.join(sorted(_HOMES))}")
    found = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return found


def __dir__() -> list[str]:
    """List the names for completion in a notebook."""
    return sorted(_HOMES)
