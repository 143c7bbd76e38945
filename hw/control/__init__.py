"""What runs a program: sequencer, host port, moves between host and rows, and the loss."""
