"""Commands of the reading part."""

import typer

app = typer.Typer()
