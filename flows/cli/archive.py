"""Commands of the archive part."""

import typer

app = typer.Typer()
