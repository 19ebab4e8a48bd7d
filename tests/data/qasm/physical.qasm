// Physical qubits, delays, barriers; no include, so the only gate is U.
OPENQASM 3;
gate x a { U(pi, 0, pi) a; }
bit[2] c;
duration wait = 2us;
x $3;
delay[100ns] $3;
delay[wait / 2 + 50ns] $0;
barrier $0, $3;
barrier;
box { x $0; }
c[0] = measure $3;
measure $0 -> c[1];
reset $0;
measure $3;
