"""`python -m qdist`: the same program as `qdist`."""

from qdist.runs.cli import program

if __name__ == "__main__":
    program()
