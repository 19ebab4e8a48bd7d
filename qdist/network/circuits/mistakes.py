"""What is wrong in a statement, before its place in the file is known."""


class Mistake(Exception):
    """A sentence for the user; `parse_qasm` puts path and line in front and raises `QdistError`.

    Attributes:
        line: The line of the innermost statement around it, once known.
    """

    line: int | None = None


class ArithmeticMistake(Mistake):
    """A mistake of the numbers, not of the text: with other parameters the same statement may be fine."""
