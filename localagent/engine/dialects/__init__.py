"""The families' ways to write messages, calls and results: one small file each."""

from .registry import by_name, detect, names

__all__ = ["by_name", "detect", "names"]
