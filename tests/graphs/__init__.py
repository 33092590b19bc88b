"""An installed app without models of its own: a test makes them, and Django sees their relations."""
