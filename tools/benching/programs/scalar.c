#include "bench.h"

WORK at(const slot *in, slot *out, int value, int gradient) {
  double x = in[0].d, e = exp(5 * sin(x) + 5 * x + 2);
  if (value) out[0].d = log(1 + e);
  if (gradient) out[1].d = e / (1 + e) * (5 * cos(x) + 5);
}
KERNELS(at)

/* the same at many points: the sum, and the derivative at each. In blocks of one function after the other: a loop with
   both sin and cos is not vectorised. */
enum { BLOCK = 512 };
WORK points(const slot *in, slot *out, int value, int gradient) {
  const double *restrict x = in[0].p;
  double *restrict g = out[1].p;
  long n = in[1].n;
  double s = 0, c[BLOCK], e[BLOCK];
  for (long from = 0; from < n; from += BLOCK) {
    long m = n - from < BLOCK ? n - from : BLOCK;
    if (gradient)
      for (long i = 0; i < m; i++) c[i] = 5 * cos(x[from + i]) + 5;
    __asm__ volatile("" ::: "memory");
    for (long i = 0; i < m; i++) e[i] = exp(5 * sin(x[from + i]) + 5 * x[from + i] + 2);
    if (value)
      for (long i = 0; i < m; i++) s += log(1 + e[i]);
    if (gradient)
      for (long i = 0; i < m; i++) g[from + i] = e[i] / (1 + e[i]) * c[i];
  }
  if (value) out[0].d = s;
}
KERNEL(total, points(in, out, 1, 0))
KERNEL(total_gradient, points(in, out, 0, 1))
KERNEL(total_both, points(in, out, 1, 1))
