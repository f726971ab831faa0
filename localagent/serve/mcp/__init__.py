"""The tools for other agents: a server of the Model Context Protocol on standard input and output.

Each call is a turn of a session of its own, so that rules, sandbox, journal, outbox and record are the same as everywhere.
Loaded by `localagent mcp serve` alone, for its library takes more than a second.
"""
