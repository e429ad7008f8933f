"""What a table of work costs on ASICs: gates, energy of operations, and a spatial array of them."""
