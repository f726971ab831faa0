"""Tools: what a plugin is, how its schema is derived, and the sandboxed worker that runs it.

The host never imports plugin code; it only reads what a worker says about it.
"""
