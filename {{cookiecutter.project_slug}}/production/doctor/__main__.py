"""Start the command line."""

import sys

from production.doctor.cli import main

sys.exit(main())
