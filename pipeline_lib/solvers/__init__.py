"""Numerical models: batched, differentiable, in torch; truth for the systems that learn dynamics."""
