"""Retrievals: what one variable of a frame tells of another, as brightness temperature of rain."""
