"""`python -m qdist`: the same program as `qdist`."""

from qdist.runs.cli import main

if __name__ == "__main__":
    main()
