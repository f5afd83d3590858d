"""The report stage: figures and one self-contained page per experiment."""
