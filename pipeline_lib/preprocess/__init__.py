"""The preprocess stage: raw files to analysis-ready Zarr, one store per period; training statistics."""
