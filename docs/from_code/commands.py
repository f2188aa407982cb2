"""The page of all commands."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import cleandoc
from typing import Any, Literal, get_args, get_origin

import typer

from docs.from_code.markdown import MADE, cell, table
from flows.cli import COMMANDS, app, load_command

COMMANDS_HEAD = """# Command reference

Every command prints its options with `--help`. With `--json`, a command prints its report as JSON instead of tables.

| Exit code | Meaning |
|---|---|
| 0 | done |
| 1 | failed; one sentence on standard error says why |
| 2 | wrong usage: unknown command or option, missing argument, wrong value, options that exclude each other |
| 3 | done, with something refused, failed or left out, as the output says |
| 130 | stopped by Ctrl-C; every file is whole, and the same command does the rest |
"""

BEFORE = "Options that stand before the command, as in `lidcflow --log-json preprocess /data`:"

EXAMPLES = {
    "init": "lidcflow init research --out lidcflow.toml",
    "demo": "lidcflow demo --folder demo --series 32 --seed 0",
    "phantom": "lidcflow phantom /data/synthetic --series 4 --seed 0",
    "index": "lidcflow index /data/LIDC-IDRI --csv series.csv",
    "preprocess": "lidcflow preprocess /data/LIDC-IDRI --csv refused.csv",
    "download": "lidcflow download idc:lidc_idri/LIDC-IDRI-0001 /data/LIDC-IDRI",
    "labels": "lidcflow labels --source annotations.csv --out labels.csv --report not-used.csv",
    "train": "lidcflow train --sectors 5",
    "retrain": "lidcflow retrain",
    "releases": "lidcflow releases champion --export release-files",
    "promote": 'lidcflow promote 3 --force --reason "checked by hand on 40 studies"',
    "rollback": "lidcflow rollback",
    "pretrain": "lidcflow pretrain compact.npz",
    "snapshots": "lidcflow snapshots --json",
    "experiment": "lidcflow experiment sectors",
    "evaluate": "lidcflow evaluate champion --split test --out evaluation",
    "infer": "lidcflow infer /data/new --documents /data/documents",
    "reports": "lidcflow reports --port 8765",
    "inbox": "lidcflow inbox --step failed",
    "drift": "lidcflow drift --days 7",
    "up": "lidcflow up --config lidcflow.toml",
    "status": "lidcflow status",
    "doctor": "lidcflow doctor",
    "deploy": "lidcflow deploy --profile cluster",
    "repair": "lidcflow repair --verify",
    "clean": "lidcflow clean --dry-run",
    "erase": "lidcflow erase --patient-id --dry-run",
}


def commands_page() -> str:
    """Return the page of all commands, with a table of the arguments and options of each."""
    common = [_parameter(one) for one in typer.main.get_command(app).params if one.name != "help"]
    parts = [MADE.format(source="flows/cli"), COMMANDS_HEAD, BEFORE]
    parts.append(table(("Option", "Default", "Meaning"), common))
    parts.append(table(("Command", "What it does"), [_listed(name) for name in COMMANDS]))
    for name in sorted(COMMANDS):
        parts += _command(f"lidcflow {name}", load_command(name), EXAMPLES[name])
    return "\n\n".join(parts) + "\n"


def _listed(name: str) -> str:
    return f"| [`{name}`](#lidcflow-{name}) | {cell(_plain(COMMANDS[name]))} |"


def _command(name: str, command: Any, example: str = "", level: int = 2) -> Iterator[str]:
    yield f"{'#' * level} lidcflow {name.removeprefix('lidcflow ')}"
    yield _plain(cleandoc(command.help or ""))
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    yield f"```sh\n{example or ' '.join([name, *map(_metavar, arguments)])}\n```"
    options = [one for one in command.params if one.param_type_name == "option" and one.name != "help"]
    if rows := [_parameter(one) for one in (*arguments, *options)]:
        yield table(("Argument or option", "Default", "Meaning"), rows)
    for inner, subcommand in getattr(command, "commands", {}).items():
        yield from _command(f"{name} {inner}", subcommand, level=level + 1)


def _metavar(argument: Any) -> str:
    shown = argument.metavar or argument.name.upper()
    return shown if argument.required or shown.startswith("[") else f"[{shown}]"


def _parameter(one: Any) -> str:
    is_argument = one.param_type_name == "argument"
    shown = f"`{_metavar(one)}`" if is_argument else ", ".join(f"`{name}`" for name in one.opts)
    value = "" if is_argument or getattr(one, "is_flag", False) else f" {_kind(one)}"
    default = "required" if one.required else _option_default(one)
    return f"| {shown}{value} | {default} | {cell(_plain(one.help or ''))} |"


KINDS = {"str": "TEXT", "int": "NUMBER", "float": "NUMBER", "Path": "PATH"}


def _kind(one: Any) -> str:
    annotation = one.type_descriptor.annotation
    names = [part for part in (*get_args(annotation), annotation) if part is not type(None)]
    literal = next((part for part in names if get_origin(part) is Literal), None)
    if literal is not None:
        return " or ".join(f"`{choice}`" for choice in get_args(literal))
    return f"`{one.metavar or KINDS.get(getattr(names[0], '__name__', ''), 'TEXT')}`"


def _option_default(one: Any) -> str:
    if getattr(one, "is_flag", False):
        return "off"
    return "" if one.default in (None, "", []) or callable(one.default) else f"`{one.default}`"


def _plain(text: str) -> str:
    """Return a help text without the escapes that Rich needs."""
    return text.replace("\\[", "[")
