"""Jobs: goals that start by themselves, at a time or when something happened. What looks for it is plain code, never a model."""
