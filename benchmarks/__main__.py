"""``python -m benchmarks``."""

import sys


def _main() -> int:
    try:
        from .app import main  # the only import that needs typer and rich
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("typer", "click", "rich"):
            raise
        print(
            'benchmarks: they need packages that come with an extra: pip install -e ".[bench]"',
            file=sys.stderr,
        )
        return 1
    return main()


sys.exit(_main())
