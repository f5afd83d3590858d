"""Simulations: what the fetch driver ``simulate`` can run, one file each."""
