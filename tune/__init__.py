"""Choices that are made with the cycle model: roles of passes, balance of rows and lanes."""
