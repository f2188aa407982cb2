"""Commands of the service part."""

import typer

app = typer.Typer()
