"""What every unit is made of: memories, multiplier, registers, and the signatures that units share."""
