#!/usr/bin/env bash
# Checks and measures qdist's kernels on the GPU of this machine, in at most eight minutes:
#
#     bash jobs/benchmarks/gpu_check.sh [--cpu] [--out RECORD.json] [--only PART] [--seconds N] [--table RECORD.json]
#
# Prints tables, and writes a record with card, driver and versions after each part, beside this file in records/ unless
# told otherwise. What no longer fits into the time is skipped. --cpu is a dry run without a GPU, with small sizes and no
# record. The exit code is 1 if a number is wrong. It needs nvcc; NVCC names another one.
# PYTHON names the interpreter (python3), MPIEXEC the launcher (the interpreter's, or the first on the path).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export PYTHONUNBUFFERED=1 PYTHONPATH=".:kernels${PYTHONPATH:+:$PYTHONPATH}"
exec timeout 480 "${PYTHON:-python3}" -m jobs.benchmarks.gpu "$@"
