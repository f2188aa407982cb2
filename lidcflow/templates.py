"""The Jinja environment of all pages: what is filled in is escaped, and a name that is not there is an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined


def templates_of(*packages: str, filters: Mapping[str, Callable[..., object]] | None = None) -> Environment:
    """Return the templates of packages, each from the package's folder ``templates``.

    Parameters
    ----------
    *packages : str
        Dotted names; of two templates with one name, that of the earlier package counts.
    filters : mapping, optional
        Functions that templates may call, by name.

    Examples
    --------
    >>> templates_of("lidcflow.report").from_string("{{ name }}").render(name="<b>")
    '&lt;b&gt;'
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in packages]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters or {})
    return environment
