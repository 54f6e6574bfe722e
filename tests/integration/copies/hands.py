"""Works the shop as people do: runs commands of the product, one after the other, and says what they said. A
process of its own, so that whoever judges has nothing of the product in it. One JSON object per line.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module

from click.testing import CliRunner


def main() -> None:
    """Read ``[program, arguments]`` lines until the end of the input."""
    for line in sys.stdin:
        program, arguments = json.loads(line)
        command = import_module(f"{program}.cli").main
        result = CliRunner().invoke(command, arguments)
        said = {"code": result.exit_code, "out": result.stdout, "err": result.stderr}
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            said["err"] += repr(result.exception)
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
