// control_flow.qasm without loops; conditions are listed in the test, OpenQASM 2 has only `==`.
OPENQASM 2.0;
include "qelib1.inc";
qreg q[4];
creg c[4];
cx q[0], q[1];
cx q[1], q[2];
cx q[2], q[3];
rx(3*pi/4) q[3];
rx(0) q[0];
z q[3];
h q[1];
h q[0];
measure q -> c;
