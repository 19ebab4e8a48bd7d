"""How much a program may hold: what stops texts that would take forever or all memory."""

MAX_INSTRUCTIONS = 10**6
# Statements that are read, every turn of a loop counted: stops loops that emit nothing.
MAX_STEPS = 2 * MAX_INSTRUCTIONS
# Of qubits, and of bits.
MAX_WIRES = 4096
MAX_REGISTER_SIZE = 4096
MAX_CONDITION_BITS = 12
