"""What a network is: its layers, their shapes, its weights, and a float reference of it."""
