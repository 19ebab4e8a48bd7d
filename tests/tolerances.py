"""How close numbers must be, by precision. Rounding grows with the number of operations; these hold for 10⁴ of them."""

TOLERANCE = {"float64": 1e-12, "float32": 1e-5}
"""A float32 entry of magnitude 1 is exact to 6e-8; a thousand fused operations lose about a factor of 10 to 30."""
