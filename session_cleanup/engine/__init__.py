"""How policies meet the database. `runner.run` is the one entrance."""
