"""The workflow on a batch system: what a job asks for, and what to do after the driver died."""
