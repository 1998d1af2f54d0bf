import sys

from StrokeSegLib.cli import main

sys.exit(main())
