"""Buses of others in front of the host port, and the serial link."""
