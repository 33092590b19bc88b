"""Sessions that recur: generated ahead from their series, and changed together."""
