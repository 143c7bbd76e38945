"""The driver a user's program talks to, and the command line."""
