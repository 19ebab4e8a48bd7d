// Every construct of OpenQASM 2 once.
OPENQASM 2.0;
include "qelib1.inc";
// Gates of the program's own, one inside of the other.
gate entangle a, b { h a; cx a, b; }
gate turn(angle1, angle2) a, b {
  entangle a, b;
  barrier a, b;
  u3(angle1/2, -angle2, pi^2/4) a;
  rz(sin(angle1) + cos(angle2)*2) b;
  cu3(ln(2), sqrt(2), exp(-1)) a, b;
}
gate nothing a { }
qreg q[3];
qreg in[3];
qreg one[1];
creg c[3];
creg output[2];

h q;
cx q, in;
cx one[0], q;
swap q[0], q[2];
ccx q[0], q[1], in[2];
turn(pi/3, 1.5e-1) q[0], in[0];
nothing q;
U(0, 0, pi/4) one;
CX q[0], q[1];
rzz(.5) q[0], q[1];
id q[0];
u2(-pi*-0.25, 2^3^0-1) q[0];
barrier q, in[1];
reset in[0];
measure q -> c;
if (c == 5) x one[0];
measure one[0] -> output[1];
if (output == 2) u1(tan(0.3)) q[0];
if (c == 3) measure q[2] -> output[0];
if (output == 1) z q[0];
