"""Network description to memory plan, tiles and program."""
