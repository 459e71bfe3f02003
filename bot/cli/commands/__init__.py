"""The commands of the `hearth` program, one module each."""
