"""Other programs that can start jobs."""
