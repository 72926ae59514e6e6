import sys

from kinhteso.local.cli import main

sys.exit(main())
