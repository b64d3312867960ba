"""`python -m router`: the command `warmroute`, where it is not installed on the path."""

import sys

from router.cli import main

sys.exit(main())
