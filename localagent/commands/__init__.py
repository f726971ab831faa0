"""One file a command: what it prints for people, and its exit code. Constructs nothing that needs a session."""
