"""ASPECTS: regions, affected rule, score."""
