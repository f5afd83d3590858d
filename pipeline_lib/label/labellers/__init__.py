"""Labellers, one per file; each registers itself under a name."""
