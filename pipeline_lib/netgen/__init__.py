"""From equations to code: a system of partial differential equations in SymPy becomes a readable PyTorch module.

The idea is that of PDE-NetGen (Pannekoucke & Fablet 2020, Geosci. Model Dev. 13, 3373-3382,
doi:10.5194/gmd-13-3373-2020): derivatives are convolutions whose kernels are fixed, everything else is products and
sums, and what is not known is a trainable scalar or a network. Declare a `system.System`, or write one as a file and
read it with `system_file.read_system`; `source.generate` writes the source, `source.build` runs it.
"""
