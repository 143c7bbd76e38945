"""Weights: their memory, how they are loaded into the lanes, and how they are updated."""
