#include "bench.h"

WORK power(const slot *in, slot *out, int value, int gradient) {
  double x = in[0].d, r = 1, d = 0;
  for (long n = in[1].n; n > 0; n--) {
    if (gradient) d = d * x + r;
    r *= x;
  }
  if (value) out[0].d = r;
  if (gradient) out[1].d = d;
}
KERNELS(power)

/* backwards, over what was saved, as if nobody knew how long the loop is */
WORK back(const slot *in, slot *out, int value) {
  static double *saved;
  static long size;
  double x = in[0].d, r = 1, d = 0, rbar = 1;
  long k = 0;
  for (long n = in[1].n; n > 0; n--) {
    if (k == size) saved = realloc(saved, (size = 2 * size + 64) * sizeof(double));
    saved[k++] = r;
    r *= x;
  }
  while (k > 0) {
    d += saved[--k] * rbar;
    rbar *= x;
  }
  if (value) out[0].d = r;
  out[1].d = d;
}
KERNEL(reverse, back(in, out, 0))
KERNEL(reverse_both, back(in, out, 1))
