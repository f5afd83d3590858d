"""The command line: one sub-command per stage, each callable by hand with plain file arguments."""
