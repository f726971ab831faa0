"""`python -m localagent`."""

from .cli import program

program()
