"""Typed documents: requests, events, results and bundles, each shared by writer and reader."""
