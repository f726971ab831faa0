"""Engines: a history and tool specifications go in, a stream of deltas comes out."""
