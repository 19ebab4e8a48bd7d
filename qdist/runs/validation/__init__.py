"""`qdist validate`: published numbers against simulated ones."""

from qdist.runs.validation.cases import CASES, run_validation
from qdist.runs.validation.table import NOT_IN_REACH, Row, table

__all__ = ["CASES", "NOT_IN_REACH", "Row", "run_validation", "table"]
