"""What a network needs of memory: by tensor and phase, in total and at its peak."""
