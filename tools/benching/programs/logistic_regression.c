#include "bench.h"

/* one pass over the data, with the number of columns known */
#ifndef COLUMNS
#define COLUMNS in[5].n
#endif

WORK regression(const slot *in, slot *out, int value, int gradient) {
  const double *restrict w = in[0].p, b = in[2].d, *restrict X = in[3].p, *restrict y = in[6].p;
  long n = in[4].n, m = COLUMNS;
  double g[m], s = 0, gb = 0;
  memset(g, 0, m * sizeof(double));
  for (long i = 0; i < n; i++) {
    const double *restrict row = X + i * m;
    double z = b;
    if (gradient) { /* sums of derivatives are in no order, and may be so in the function then */
#pragma omp simd reduction(+ : z)
      for (long j = 0; j < m; j++) z += row[j] * w[j];
    } else {
      for (long j = 0; j < m; j++) z += row[j] * w[j];
    }
    double e = exp(-fabs(z));
    if (value) s += (z > 0 ? z : 0) + log1p(e) - y[i] * z;
    if (gradient) {
      double d = (z > 0 ? 1 : e) / (1 + e) - y[i];
      for (long j = 0; j < m; j++) g[j] += d * row[j];
      gb += d;
    }
  }
  if (value) out[0].d = s / n;
  if (gradient) {
    for (long j = 0; j < m; j++) out[1].p[j] = g[j] / n;
    out[2].d = gb / n;
  }
}
KERNELS(regression)
