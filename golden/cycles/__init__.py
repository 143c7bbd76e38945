"""What each command costs, to the cycle."""
