#!/bin/bash
# One qdist job on one machine, on as many ranks as you say; a power of two:
#
#     ./workstation.sh JOB.toml 4
#
# Ctrl-C, closing the terminal, `kill`, or the shutdown of the machine make it write a checkpoint and end with exit code 75.
# Start it again in the same way and it goes on from there, also on another number of ranks.

set -euo pipefail
stop() { echo "$1" >&2; exit 2; }

# Where qdist is installed (pip install 'qdist[mpich]' brings mpirun as well).
qdist=${QDIST:-qdist}
# The launcher of the MPI library that mpi4py loads.
mpirun=${MPIRUN:-mpirun}

job=${1:-} ranks=${2:-1}
[[ -n $job ]] || stop "Name the job file and the number of ranks: ./workstation.sh JOB.toml 4"
[[ -r $job ]] || stop "'$job' does not exist in $PWD, or cannot be read."
for program in "$qdist" "$mpirun"; do
  command -v "$program" >/dev/null || stop "'$program' is no command here. Try: QDIST=… MPIRUN=… ./workstation.sh …"
done

# A process group of its own: Ctrl-C reaches this script alone, and the ranks get one signal, which all launchers pass on.
set -m
"$mpirun" -n "$ranks" "$qdist" run --resume "$job" </dev/null &
step=$!
trap 'signaled=yes; kill -USR1 "$step" || :' INT TERM HUP USR1
# A signal ends `wait` before the ranks have ended: wait again.
while signaled=; wait "$step" && code=0 || code=$?; [[ -n $signaled ]]; do :; done

[[ $code != 75 ]] || echo "A checkpoint was written. Go on with: $0 $job $ranks" >&2
exit "$code"
