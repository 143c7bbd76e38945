"""What passes of a layer cost: exact tiles, walks, estimates and bounds."""
