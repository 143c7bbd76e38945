"""Runs the generated RTL and compares it with the golden model."""
