"""`python -m kinhteso.addresses IN.csv OUT.csv`; status 0 when every row has its line, 2 when the file cannot be taken."""

import sys
import time
from pathlib import Path

from kinhteso import addresses
from kinhteso.addresses import files
from kinhteso.addresses.decisions import DecisionError
from kinhteso.addresses.names import ListError


def main(arguments: list[str]) -> int:
    """Resolve one file."""
    if len(arguments) != 2 or not all(arguments):
        print("Say which file and where to: make resolve FILE=in.csv OUT=out.csv", file=sys.stderr)
        return 2
    source, target = map(Path, arguments)
    began = time.monotonic()
    try:
        counts = files.resolve_file(source, target, addresses.resolver())
    except (files.FileError, DecisionError, ListError) as error:
        print(f"{source}: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{error.filename or target}: {error.strerror or error}. Nothing was written.", file=sys.stderr)
        return 2
    total = sum(counts.rows.values())
    print(", ".join([f"{total:,} rows", *(f"{n:,} {status}" for status, n in sorted(counts.rows.items()))]) + f" in {time.monotonic() - began:.1f} s: {target}")
    if counts.texts:
        print(f"{counts.texts:,} texts wait for a person: {files.beside(target)}. How to decide: docs/addresses.md")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
