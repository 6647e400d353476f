"""What httpx-resilience costs, and what it gains, side by side with its peers.

``python -m benchmarks [NAME ...]``; the peers come with the extra ``bench``. Nothing here is a
test: figures depend on the machine, so contenders take turns and ratios stand beside them.

``cases`` is what is measured, ``contenders`` who takes part, ``servers`` what they send to,
``harness`` how it is measured and shown. ``cases`` imports the others, ``harness`` none of them.
"""

import sys
from pathlib import Path

_TESTS = str(Path(__file__).parents[1] / "tests")
if _TESTS not in sys.path:  # the model servers are the simulations'
    sys.path.append(_TESTS)
