"""What stands behind the StrokeSeg panel; imports nothing beyond Slicer's own Python at file scope."""
