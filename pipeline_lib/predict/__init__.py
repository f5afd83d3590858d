"""The predict stage: a trained model and a dataset to a product, CF-compliant Zarr."""
