"""Gateware, one idea a file."""
