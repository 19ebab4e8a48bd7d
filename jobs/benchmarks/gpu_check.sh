#!/usr/bin/env bash
# Checks and measures qdist on the GPU of this machine, in at most eight minutes:
#
#     bash jobs/benchmarks/gpu_check.sh [--cpu] [--out RECORD.json]
#
# Prints a table, and writes a record with card, driver and versions; beside this file in records/ unless told otherwise.
# --cpu is a dry run without a GPU, with small sizes and no record. The exit code is 1 if a number is wrong.
# PYTHON names the interpreter (python3), MPIEXEC the launcher (the interpreter's, or the first on the path).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export QDIST_KERNELS=jax PYTHONUNBUFFERED=1 PYTHONPATH=".:kernels${PYTHONPATH:+:$PYTHONPATH}"
exec timeout 480 "${PYTHON:-python3}" jobs/benchmarks/gpu_check.py "$@"
