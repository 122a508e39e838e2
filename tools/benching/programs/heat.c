#include "bench.h"

/* all grids are kept; backwards the transposed step, each entry of the cotangent from its neighbours */
WORK heat(const slot *in, slot *out, int value, int gradient) {
  long n = in[1].n, m = in[2].n, steps = in[4].n, size = n * m;
  double c = in[3].d, s = 0, gc = 0, *all = room(0, (gradient ? steps + 1 : 2) * size);
  memcpy(all, in[0].p, size * sizeof(double));
  double *u = all, *next = all + size;
  for (long k = 0; k < steps; k++) {
    memcpy(next, u, m * sizeof(double));
    memcpy(next + size - m, u + size - m, m * sizeof(double));
    for (long i = 1; i + 1 < n; i++) {
      const double *restrict here = u + i * m, *restrict up = here - m, *restrict down = here + m;
      double *restrict to = next + i * m;
      to[0] = here[0];
      for (long j = 1; j + 1 < m; j++)
        to[j] = here[j] + c * (up[j] + down[j] + here[j - 1] + here[j + 1] - 4 * here[j]);
      to[m - 1] = here[m - 1];
    }
    double *old = u;
    u = next;
    next = gradient ? next + size : old;
  }
  if (value)
    for (long i = 0; i < size; i++) s += u[i] * u[i];
  if (value) out[0].d = s;
  if (!gradient) return;
  /* g is the cotangent with zeros on a frame around the inner points, e that on the edge */
  double *restrict w = room(1, size), *restrict v = room(2, size), *e = out[1].p;
  memset(w, 0, size * sizeof(double));
  memset(v, 0, size * sizeof(double));
  for (long i = 0; i < size; i++) e[i] = 2 * u[i];
  for (long i = 1; i + 1 < n; i++) memcpy(w + i * m + 1, e + i * m + 1, (m - 2) * sizeof(double));
  for (long k = steps; k-- > 0;) {
    const double *u0 = all + k * size;
    for (long i = 1; i + 1 < n; i++) {
      const double *restrict here = u0 + i * m, *restrict up = here - m, *restrict down = here + m;
      const double *restrict g = w + i * m, *restrict gup = g - m, *restrict gdown = g + m;
      double *restrict to = v + i * m, part = 0;
#pragma omp simd reduction(+ : part)
      for (long j = 1; j < m - 1; j++) {
        part += g[j] * (up[j] + down[j] + here[j - 1] + here[j + 1] - 4 * here[j]);
        to[j] = g[j] + c * (gup[j] + gdown[j] + g[j - 1] + g[j + 1] - 4 * g[j]);
      }
      gc += part;
      e[i * m] += c * g[1];
      e[i * m + m - 1] += c * g[m - 2];
    }
    for (long j = 1; j + 1 < m; j++) {
      e[j] += c * w[m + j];
      e[size - m + j] += c * w[size - 2 * m + j];
    }
    double *old = w;
    w = v;
    v = old;
  }
  for (long i = 1; i + 1 < n; i++) memcpy(e + i * m + 1, w + i * m + 1, (m - 2) * sizeof(double));
  out[2].d = gc;
}
KERNELS(heat)
