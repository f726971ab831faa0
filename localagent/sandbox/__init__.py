"""The boundary: the only room that starts processes, and what they can see and change."""
