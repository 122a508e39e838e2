#include "bench.h"

/* each entry of the gradient from its two neighbours, so that none is written twice */
WORK rosenbrock(const slot *in, slot *out, int value, int gradient) {
  const double *restrict x = in[0].p;
  double *restrict g = out[1].p;
  long n = in[1].n;
  if (value) {
    double s = 0;
    for (long i = 0; i + 1 < n; i++) {
      double a = x[i + 1] - x[i] * x[i], b = 1 - x[i];
      s += 100 * a * a + b * b;
    }
    out[0].d = s;
  }
  if (gradient) {
    if (n < 2) {
      memset(g, 0, n * sizeof(double));
      return;
    }
    g[0] = -400 * (x[1] - x[0] * x[0]) * x[0] - 2 * (1 - x[0]);
    for (long i = 1; i + 1 < n; i++)
      g[i] = 200 * (x[i] - x[i - 1] * x[i - 1]) - 400 * (x[i + 1] - x[i] * x[i]) * x[i] - 2 * (1 - x[i]);
    g[n - 1] = 200 * (x[n - 1] - x[n - 2] * x[n - 2]);
  }
}
KERNELS(rosenbrock)

WORK product(const slot *in, slot *out) {
  const double *restrict x = in[0].p, *restrict v = in[2].p;
  double *restrict h = out[0].p;
  long n = in[1].n;
  h[0] = (1200 * x[0] * x[0] - 400 * x[1] + 2) * v[0] - 400 * x[0] * v[1];
  for (long i = 1; i + 1 < n; i++)
    h[i] = (1200 * x[i] * x[i] - 400 * x[i + 1] + 202) * v[i] - 400 * (x[i] * v[i + 1] + x[i - 1] * v[i - 1]);
  h[n - 1] = 200 * v[n - 1] - 400 * x[n - 2] * v[n - 2];
}
KERNEL(hvp, product(in, out))
