"""Eddies as closed contours of sea surface height (PET14: Mason, Pascual and McWilliams 2014)."""
