"""Lets ``python -m StrokeSegLib.worker`` run the process."""

from StrokeSegLib.worker.server import main

main()
