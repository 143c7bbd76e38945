"""The NumPy models of record."""
