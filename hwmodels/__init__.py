"""What a table of work costs on hardware. Knows work tables and devices, and nothing of qsim."""
