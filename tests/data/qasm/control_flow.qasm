// Loops and branches of OpenQASM 3.
OPENQASM 3.1;
include "stdgates.inc";
const int n = 4;
qubit[n] q;
bit[n] c;
int turns = 2;

for int i in [0:n - 2] {
  cx q[i], q[i + 1];
}
for uint i in {3, 0} rx(i * pi / n) q[i];
for int i in [3:-2:0] {
  if (i == 1) { continue; }
  z q[i];
}
while (turns > 0) {
  turns -= 1;
  h q[turns];
}
c = measure q;
if (c[0] && !c[1]) {
  x q[2];
  if (c == 9) y q[2]; else z q[2];
} else {
  s q[3];
}
bool odd = c[0] ^ c[1] ^ c[2] ^ c[3] == 1;
if (odd) x q[0];
switch (int(c[2:3])) {
  case 0, 3 { t q[0]; }
  case 1 { tdg q[0]; }
  default { sdg q[0]; }
}
