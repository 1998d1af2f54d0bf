"""Acute ischaemic stroke on CT: a study is read, a network sees it, findings come out."""

import os

__version__ = "0.1.0"

# Idle threads that spin starve whatever else runs; torch's library reads this when it is first loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
