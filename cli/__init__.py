"""The command line, one file for each group of commands. No logic: library functions do the work."""
