"""Configuration: pydantic models are its only truth; schema, defaults and reference page are generated from them."""
