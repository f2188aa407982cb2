"""What pages show can be pasted: commands and options exist, settings are valid, imports are there."""

import ast
import re
import shlex
import tomllib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from flows.cli import COMMANDS, load_command
from lidcflow.config.file import load_config
from tests.docs.pages import INDENTED, INLINE, PAGES, ROOT, blocks, name_of, prose

BLOCKS = [block for page in PAGES for block in blocks(page)]
LANGUAGES = {"sh", "toml", "python", "yaml"}
SHOWN = re.compile(r"^(?:\.venv/bin/)?lidcflow ((?!version)[a-z].*)$")
"""A command in the text; `lidcflow version 1` is what a release is called."""


def of(language):
    found = [block for block in BLOCKS if block.language == language and not block.why_not]
    assert found
    return pytest.mark.parametrize("block", found, ids=str)


def lines(text):
    """Yield the commands of a shell block, without comments; a backslash joins lines."""
    for line in text.replace("\\\n", " ").splitlines():
        if words := shlex.split(line, comments=True):
            yield words


@cache
def command(name):
    return load_command(name)


def check_lidcflow(words):
    """Parse the words after `lidcflow` as the command does, without running it."""
    found = command(words[0])
    if words[0] == "inbox" and len(words) > 1 and words[1] in found.commands:
        found, words = found.commands[words[1]], words[1:]
    found.make_context(words[0], list(words[1:]))


def check_make(words):
    targets = re.findall(r"^([a-z-]+(?: [a-z-]+)*):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    known = {name for line in targets for name in line.split()}
    assert {word for word in words if "=" not in word} <= known


def check_python(words):
    assert words[0] == "-m"
    assert (ROOT / f"{words[1].replace('.', '/')}.py").is_file()


CHECKS = {"lidcflow": check_lidcflow, "make": check_make, "python": check_python}


def test_every_block_says_what_it_is():
    assert [str(block) for block in BLOCKS if block.language not in LANGUAGES] == []


@of("sh")
def test_a_shell_block_holds_commands_that_there_are(block):
    for words in lines(block.text):
        program = words[0].rpartition("/")[2]
        if program in CHECKS:
            CHECKS[program](words[1:])
        else:
            assert (ROOT / words[0]).is_file(), f"mark the block as not run, or name a program that is checked: {words}"


@of("toml")
def test_a_toml_block_is_a_configuration(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    load_config(environ={}, **tomllib.loads(block.text))


@of("python")
def test_a_python_block_imports_what_there_is(block):
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.ImportFrom):
            defined = names_in(Path(find_spec(node.module).origin))
            assert {one.name for one in node.names} <= defined


def names_in(file):
    tree = ast.parse(file.read_text())
    named = {one.name for one in tree.body if isinstance(one, ast.FunctionDef | ast.ClassDef)}
    imported = {one.asname or one.name for node in tree.body if isinstance(node, ast.ImportFrom) for one in node.names}
    return named | imported


def shown(page):
    """Yield the commands in the text of a page, and in blocks that are set off by spaces."""
    text = prose(page)
    candidates = [line.strip() for block in INDENTED.findall(text) for line in block.splitlines()]
    for candidate in (*candidates, *INLINE.findall(text)):
        if found := SHOWN.match(candidate.partition("#")[0].strip()):
            yield found[1].split()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_in_the_text_and_their_options_are_there(page):
    for words in shown(page):
        assert words[0] in COMMANDS, words
        parsers = [command(words[0]), *getattr(command(words[0]), "commands", {}).values()]
        known = {option for one in parsers for parameter in one.params for option in parameter.opts} | {"--help"}
        used = {word.rstrip("],.;:") for word in words if word.lstrip("[").startswith("-")}
        assert {word.lstrip("[") for word in used} <= known, words
