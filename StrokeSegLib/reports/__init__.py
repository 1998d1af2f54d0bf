"""Findings as people read them: HTML, PDF, pictures, tables."""
