"""Simulations, and data out of installed packages: what the fetch driver ``simulate`` can run, one file each."""
