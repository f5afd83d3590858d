"""Numerics of the sea surface: geostrophic currents, high-pass filter, Okubo–Weiss, closed-contour eddies."""
