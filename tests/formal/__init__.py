"""Proofs of the units everything stands on. A proof is a unit, what it may assume, and what must then hold."""
