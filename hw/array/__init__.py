"""The array: rows of lanes, the walk over a tile, lists of what is not zero, and post-processing."""
