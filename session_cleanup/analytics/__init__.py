"""What the browser sessions of a month came to, and what to do about it."""
