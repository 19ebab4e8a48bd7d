// Gate modifiers of OpenQASM 3 on library gates and on gates of the program.
OPENQASM 3.0;
include "stdgates.inc";
qubit[4] q;
gate pulse(a) x, y {
  rx(a) x;
  ctrl @ h x, y;
  gphase(a / 3);
}
ctrl @ x q[0], q[1];
ctrl(2) @ x q[0], q[1], q[2];
ctrl @ ctrl @ h q[2], q[0], q[1];
negctrl @ ry(0.7) q[3], q[1];
ctrl @ negctrl @ z q[0], q[1], q[2];
inv @ t q[0];
inv @ pulse(0.4) q[0], q[1];
pow(2) @ pulse(0.4) q[1], q[2];
pow(-1) @ sx q[1];
pow(0.5) @ x q[2];
pow(1 / 3.0) @ swap q[2], q[3];
pow(0.3) @ pulse(1.1) q[3], q[0];
ctrl @ pulse(0.9) q[2], q[0], q[1];
ctrl @ U(0.1, 0.2, 0.3) q[0], q[1];
ctrl @ u2(0.1, 0.2) q[0], q[1];
ctrl @ u3(0.1, 0.2, 0.3) q[1], q[2];
ctrl @ gphase(pi / 5) q[3];
negctrl @ gphase(pi / 5) q[3];
inv @ ctrl @ rz(0.4) q[0], q[3];
inv @ u2(0.3, 0.8) q[0];
inv @ cu(0.1, 0.2, 0.3, 0.4) q[0], q[1];
ctrl @ swap q[0], q[1], q[2];
ctrl(3) @ x q[3], q[1], q[2], q[0];
