// Teleportation with subroutines, aliases and feed-forward.
OPENQASM 3.0;
include "stdgates.inc";

def bell_measurement(qubit a, qubit b) -> bit {
  cx a, b;
  h a;
  return measure a;
}

qubit source;
qubit[2] pair;
let near = pair[0];
let far = pair[1];
bit phase;
bit flip;

ry(pi / 3) source;
h near;
cx near, far;
phase = bell_measurement(source, near);
flip = measure near;
if (flip) x far;
if (phase) z far;
