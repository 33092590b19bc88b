"""When something recurs: rules, wall times and patterns. Pure: nothing here knows of a database."""
