"""What all sides agree on: configuration, number formats, commands, memory map, latencies, networks."""
