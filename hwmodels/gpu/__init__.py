"""What a table of work costs on a GPU: types and their rates, tiles, memories, energy."""
