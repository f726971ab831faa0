"""What may happen: pure functions from a call, its changes and the user's rules to a Decision.

Nothing here runs, reads or asks anything.
"""
