"""The terminal app: what a person sees of a session, and what they say to it.

Only here may Textual be imported; only `interactive` imports this room. Events come up,
answers and requests go down; nothing here decides what is allowed.
"""
