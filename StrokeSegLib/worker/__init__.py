"""The process that does the work: torch and the models stay warm; panel, batch and whoever else drive it."""
