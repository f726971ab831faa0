"""Our own files: where they are, how they are written, and what the user set in them."""
