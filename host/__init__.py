"""The driver a user's program talks to."""
