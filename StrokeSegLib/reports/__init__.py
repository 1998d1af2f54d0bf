"""Findings for readers: HTML, PDF, images, tables."""
