"""Zeros of networks in training: their layers, how they are recorded and kept."""
