"""The agent for editors: the Agent Client Protocol on standard input and output.

The editor draws the conversation and asks the person; rules, sandbox, journal and outbox are the same as everywhere.
Loaded by `localagent acp` alone, for its library takes a second.
"""
