"""The agent: a session that owns its history, the loop of one turn, the life of one call."""
