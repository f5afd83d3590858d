"""Published tables as data: what a paper printed, how sure we are of it, and whether ours may be compared."""
