"""Figures that do not depend on the kind of problem, and what every figure is made of."""
