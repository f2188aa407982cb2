"""What commands import when they use it."""

import ast
import inspect
from importlib.util import find_spec

import pytest

from flows.cli import lazy


def test_what_is_imported_lazily_stands_there_for_type_checkers_too():
    tree = ast.parse(inspect.getsource(lazy))
    blocks = [node for node in tree.body if isinstance(node, ast.If)]
    imports = [node for block in blocks for node in block.body if isinstance(node, ast.ImportFrom)]
    typed = {name.asname: (node.module, name.name) for node in imports for name in node.names}

    places = {name: place.partition(":") for name, place in lazy._PLACES.items()}
    running = {
        name: (module, attribute) if attribute else tuple(module.rsplit(".", 1))
        for name, (module, _, attribute) in places.items()
    }
    assert running == typed
    assert all(find_spec(module) for module, _, _ in places.values())


def test_a_name_that_is_not_in_the_table_is_no_attribute():
    with pytest.raises(AttributeError, match="must know nothing_like_it"):
        _ = lazy.nothing_like_it
