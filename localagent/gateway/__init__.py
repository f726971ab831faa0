"""People by message: a front end without a screen. Nothing listens here; it asks the services what came in."""
