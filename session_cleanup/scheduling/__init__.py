"""When jobs run, and the files that make a host run them then."""
