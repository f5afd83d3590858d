"""Motion of what frames show, and extrapolation by it, in torch and batched.

A *flow* is a tensor (batch, 2, height, width) in cells per time step: component 0 towards increasing columns,
component 1 towards increasing rows. What is at ``x`` in one frame is at ``x + flow(x)`` in the next.
"""
