#include "bench.h"

/* one input: the derivative goes along */
WORK iterate(const slot *in, slot *out, int value, int gradient) {
  double v = in[0].d, d = 1;
  for (long i = 0, n = in[1].n; i < n; i++) {
    if (gradient) d *= 4 - 8 * v;
    v = 4 * v * (1 - v);
  }
  if (value) out[0].d = v;
  if (gradient) out[1].d = d;
}
KERNELS(iterate)

/* backwards, over what was saved */
WORK back(const slot *in, slot *out, int value) {
  long n = in[1].n;
  double v = in[0].d, d = 1, *saved = room(0, n);
  for (long i = 0; i < n; i++) {
    saved[i] = v;
    v = 4 * v * (1 - v);
  }
  for (long i = n - 1; i >= 0; i--) d *= 4 - 8 * saved[i];
  if (value) out[0].d = v;
  out[1].d = d;
}
KERNEL(reverse, back(in, out, 0))
KERNEL(reverse_both, back(in, out, 1))
