"""Services that carry messages, one file each; `base` says what they have in common."""
