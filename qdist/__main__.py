"""`python -m qdist`: the same program as `qdist`."""

from qdist.run.cli import main

if __name__ == "__main__":
    main()
