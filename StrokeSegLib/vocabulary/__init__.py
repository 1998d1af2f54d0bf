"""The words that the whole program shares: anatomy, terminology, units and scales of maps."""
