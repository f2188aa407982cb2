"""Commands of the learning part."""

import typer

app = typer.Typer()
