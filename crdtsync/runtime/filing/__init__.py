"""Filing what the log holds into the views that people read."""
