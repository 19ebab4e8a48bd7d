"""Values of classical expressions: numbers, bit strings and durations, and their casts and operators."""

import math
import operator
from typing import Any

from qdist.network.circuits.mistakes import ArithmeticMistake, Mistake

# Integers longer than any register: stops a loop of squarings before it takes all memory.
MAX_INTEGER_BITS = 4096


class Bits(int):
    """A string of classical bits as an integer, bit 0 least significant."""

    width: int

    def __new__(cls, value: int, width: int) -> "Bits":
        bits = super().__new__(cls, value)
        bits.width = width
        return bits


class Seconds(float):
    """A duration, which only a delay takes."""


Value = bool | int | float | Bits | Seconds


def described(value: Value) -> str:
    """A value in a message: `0.5`, `true`, `"010"`, `1e-07 s`."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Bits):
        return f'"{int(value):0{value.width}b}"'
    return f"{float(value):g} s" if isinstance(value, Seconds) else f"{value}"


def number(value: Value) -> int | float:
    """The value if it is a plain number."""
    if isinstance(value, bool | Bits | Seconds):
        raise Mistake(f"A number is needed here, but got {described(value)}. Cast it, as in `int(c)`.")
    return value


def whole(value: Value, what: str) -> int:
    """The value if it is a whole number."""
    if isinstance(value, Seconds) or (isinstance(value, float) and not value.is_integer()):
        raise Mistake(f"{what} must be a whole number, but is {described(value)}.")
    return int(value)


def real(value: Value, what: str) -> float:
    """The value if it is a finite number, as a float."""
    try:
        result = float(number(value))
    except OverflowError:
        result = math.inf
    if not math.isfinite(result):
        raise ArithmeticMistake(f"{what} must be a finite number, but is {result}.")
    return result


def popcount(bits: int) -> int:
    """How many bits are 1."""
    if not isinstance(bits, int):
        raise TypeError
    return int(bits).bit_count()


def rotate_left(bits: Bits, distance: int) -> Bits:
    """Every bit moves up by `distance`, and around."""
    if not isinstance(bits, Bits):
        raise TypeError
    distance %= bits.width
    value = int(bits) << distance
    return Bits((value | value >> bits.width) & (1 << bits.width) - 1, bits.width)


def rotate_right(bits: Bits, distance: int) -> Bits:
    """Every bit moves down by `distance`, and around."""
    return rotate_left(bits, -distance)


def checked(compute: Any, *operands: Any, what: str) -> Any:
    """`compute(*operands)`, with Python's complaints about numbers turned into mistakes."""
    try:
        result = compute(*operands)
    except ZeroDivisionError:
        raise ArithmeticMistake(f"A divisor must not be zero, but is in `{what}`.") from None
    except (ValueError, OverflowError):
        shown = ", ".join(described(value) for value in operands)
        raise ArithmeticMistake(f"The operands of `{what}` must give a finite real number, but are {shown}.") from None
    except TypeError:
        shown = ", ".join(described(value) for value in operands)
        raise Mistake(f"The operands of `{what}` must be of a type that it takes, but are {shown}.") from None
    if isinstance(result, complex):
        raise ArithmeticMistake(f"The result of `{what}` must be real, but is {result:.3g}.")
    if isinstance(result, int) and result.bit_length() > MAX_INTEGER_BITS:
        raise ArithmeticMistake(f"An integer must have at most {MAX_INTEGER_BITS} bits, but `{what}` gives more.")
    return result


def _divide(left: Any, right: Any) -> Any:
    """Division of OpenQASM 3: of two integers it is an integer, rounded toward zero as in C99."""
    if not isinstance(left, int) or not isinstance(right, int):
        return left / right
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _power(base: Any, exponent: Any) -> Any:
    both = isinstance(base, int) and isinstance(exponent, int)
    if both and abs(base) > 1 and base.bit_length() * exponent > 2 * MAX_INTEGER_BITS:
        raise OverflowError
    return base**exponent


def _shift_left(value: Any, distance: Any) -> Any:
    if distance > MAX_INTEGER_BITS:
        raise OverflowError
    return value << distance


_COMPARISONS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ARITHMETIC = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divide,
    "%": operator.mod,
    "**": _power,
}
_BITWISE = {
    "&": operator.and_,
    "|": operator.or_,
    "^": operator.xor,
    "<<": _shift_left,
    ">>": operator.rshift,
}


def binary(symbol: str, left: Value, right: Value, version: int = 3) -> Value:
    """`left symbol right`, for every operator but && and ||."""
    if isinstance(left, Seconds) or isinstance(right, Seconds):
        return _of_durations(symbol, left, right)
    if symbol in _COMPARISONS:
        return _COMPARISONS[symbol](left, right)
    if symbol in _BITWISE:
        return _bitwise(symbol, left, right)
    if symbol == "/" and version == 2:
        return checked(operator.truediv, left, right, what="/")
    return checked(_ARITHMETIC[symbol], left, right, what=symbol)


def _bitwise(symbol: str, left: Value, right: Value) -> Value:
    result = checked(_BITWISE[symbol], left, right, what=symbol)
    if symbol not in ("<<", ">>"):
        if isinstance(left, Bits) and isinstance(right, Bits) and left.width != right.width:
            raise Mistake(
                f"The operands of `{symbol}` must be equally long, but have {left.width} and {right.width} bits."
            )
        width = max(getattr(left, "width", 0), getattr(right, "width", 0))
    else:
        width = getattr(left, "width", 0)
    return Bits(result & (1 << width) - 1, width) if width else result


def _of_durations(symbol: str, left: Value, right: Value) -> Value:
    both = isinstance(left, Seconds) and isinstance(right, Seconds)
    if symbol in _COMPARISONS and both:
        return _COMPARISONS[symbol](left, right)
    scaled = (symbol == "*" and not both) or (symbol == "/" and not isinstance(right, Seconds))
    if scaled or (symbol in ("+", "-") and both):
        return Seconds(checked(_ARITHMETIC[symbol], float(left), float(right), what=symbol))
    if symbol == "/" and both:
        return checked(operator.truediv, float(left), float(right), what=symbol)
    raise Mistake(f"`{symbol}` must have operands that fit, but got {described(left)} and {described(right)}.")


def unary(symbol: str, value: Value) -> Value:
    """`-value`, `!value` or `~value`."""
    if symbol == "!":
        return not value
    if symbol == "-":
        return Seconds(-value) if isinstance(value, Seconds) else -value
    if not isinstance(value, Bits):
        raise Mistake(f"`~` must act on bits, but got {described(value)}. Use `!` for a truth value.")
    return Bits(~int(value) & (1 << value.width) - 1, value.width)


def as_int(value: Value, width: int | None, *, signed: bool, explicit: bool) -> int:
    """Cast to `int[width]` or `uint[width]`: bits are two's complement, `uint` wraps around."""
    if isinstance(value, Bits) and signed and value.width == width:
        return int(value) - (1 << width) * (int(value) >> width - 1)
    result = int(number(value)) if explicit and isinstance(value, float) else whole(value, "The value of an integer")
    if width is not None and not signed:
        return result % (1 << width)
    if width is not None and not -(1 << width - 1) <= result < 1 << width - 1:
        raise ArithmeticMistake(f"A value of int[{width}] must fit into {width} bits, but is {result}.")
    return result


def as_angle(value: Value, width: int | None) -> float:
    """Cast to `angle[width]`: a multiple of 2π/2^width in [0, 2π)."""
    if isinstance(value, Bits) and value.width == width:
        return math.tau * int(value) / (1 << width)
    angle = real(value, "An angle")
    if width is None:
        return angle % math.tau
    return math.tau * (round(angle / math.tau * (1 << width)) % (1 << width)) / (1 << width)


def as_bits(value: Value, width: int) -> Bits:
    """Cast to `bit[width]`."""
    result = whole(value, "The value of bits")
    if getattr(value, "width", width) != width or not 0 <= result < 1 << width:
        raise Mistake(f"The value must fit into {width} bit{'s' * (width > 1)}, but is {described(value)}.")
    return Bits(result, width)


def as_seconds(value: Value) -> Seconds:
    """Cast to `duration`."""
    if not isinstance(value, Seconds):
        raise Mistake(f"A duration must have a unit, but is {described(value)}. Write for instance `100ns`.")
    return value
