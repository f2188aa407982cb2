"""Arguments that are wrong: what a shell leaves of a variable that is not set, and values that break a rule."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from flows.cli import lazy

UNSET = "is a variable of the shell not set?"


@contextmanager
def naming_values() -> Iterator[None]:
    """Name the value beside the rule that it breaks; Typer's own sentence names the rule alone."""
    try:
        yield
    except typer.BadParameter as error:
        cause: Any = error.__cause__
        if hasattr(cause, "errors"):  # pydantic's, which checks the values of options
            error.message = lazy.rule_and_value(cause)
        raise


def check_arguments(command: Any, args: Sequence[str]) -> None:
    """Refuse empty arguments, and options that stand where the value of another option must.

    Unchecked, ``--workspace ""`` would be the current folder, and ``--workspace --json`` a new folder `--json`.

    Parameters
    ----------
    command : typer command
        The subcommand; a group passes what follows the name of one of its own commands on to that.
    args : sequence of str
        What stands behind its name.

    Raises
    ------
    typer.BadParameter
        If one of them is empty or in a wrong place.
    """
    with_value, options = set(), {"--help", "-h"}
    for one in command.params:
        if one.param_type_name == "option":
            options |= {*one.opts, *one.secondary_opts}
            with_value |= set() if one.is_flag else set(one.opts)
    inner = getattr(command, "commands", {})
    places = [one.metavar or one.name.upper() for one in command.params if one.param_type_name == "argument"]
    before = ""
    for number, argument in enumerate(args):
        name, equals, value = argument.partition("=")
        if not argument.strip() or (equals and name in with_value and not value.strip()):
            place = places[min(_places_taken(args[:number], with_value), len(places) - 1)] if places else None
            hint = name if equals else before if before in with_value else place
            raise typer.BadParameter(f"must not be empty; {UNSET}", param_hint=hint)
        if before in with_value and name in options:
            raise typer.BadParameter(
                f"must be followed by its value, got the option {argument}; {UNSET}", param_hint=before
            )
        if before not in with_value and argument in inner:
            check_arguments(inner[argument], args[number + 1 :])
            return
        before = argument


def _places_taken(args: Sequence[str], with_value: Container[str]) -> int:
    """Return how many arguments are neither options nor their values."""
    befores = ["", *args]
    return sum(not one.startswith("-") and before not in with_value for before, one in zip(befores, args, strict=False))
