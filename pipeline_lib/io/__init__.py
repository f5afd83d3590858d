"""Reading and writing: atomic files, hashes, manifests, Zarr stores, strict YAML. Knows no stage."""
