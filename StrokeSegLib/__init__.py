"""Acute ischaemic stroke on CT: a study is read, a network sees it, findings come out."""

__version__ = "0.1.0"
