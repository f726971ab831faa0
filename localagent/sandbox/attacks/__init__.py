"""Attacks on our own sandbox, each judged by what happened outside of it."""
