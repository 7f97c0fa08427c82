"""What a run is, and what it leaves: settings, directory, checkpoints, log."""
