"""Commands of the demo part."""

import typer

app = typer.Typer()
