"""Where results come from: the chain of manifests behind a file, and its description as an RO-Crate."""
