#include "bench.h"

/* the positions at which forces were computed are kept, the forces are computed again */
#define PULL(name, pragma)                                                                                        \
  static inline __attribute__((always_inline)) void name(double *restrict A, const double *restrict X,            \
                                                         const double *restrict m, long n) {                      \
    const double *x = X, *y = X + n, *z = X + 2 * n;                                                              \
    for (long i = 0; i < n; i++) {                                                                                \
      double ax = 0, ay = 0, az = 0;                                                                              \
      pragma for (long j = 0; j < n; j++) {                                                                       \
        double dx = x[j] - x[i], dy = y[j] - y[i], dz = z[j] - z[i], r = dx * dx + dy * dy + dz * dz + 0.01;      \
        double w = m[j] / (r * sqrt(r));                                                                          \
        ax += w * dx;                                                                                             \
        ay += w * dy;                                                                                             \
        az += w * dz;                                                                                             \
      }                                                                                                           \
      A[i] = ax;                                                                                                  \
      A[n + i] = ay;                                                                                              \
      A[2 * n + i] = az;                                                                                          \
    }                                                                                                             \
  }
PULL(pull_in_order, )
PULL(pull_in_lanes, _Pragma("omp simd reduction(+ : ax, ay, az)"))

/* the cotangents C of A, carried to X and m */
static inline __attribute__((always_inline)) void pull_back(const double *restrict C, const double *restrict X,
                                                            const double *restrict m, double *restrict gX,
                                                            double *restrict gm, long n) {
  const double *x = X, *y = X + n, *z = X + 2 * n;
  for (long i = 0; i < n; i++) {
    double cx = C[i], cy = C[n + i], cz = C[2 * n + i], gx = 0, gy = 0, gz = 0;
#pragma omp simd reduction(+ : gx, gy, gz)
    for (long j = 0; j < n; j++) {
      double dx = x[j] - x[i], dy = y[j] - y[i], dz = z[j] - z[i], r = dx * dx + dy * dy + dz * dz + 0.01;
      double v = 1 / (r * sqrt(r)), along = cx * dx + cy * dy + cz * dz, w = m[j] * v, s = 3 * w * along / r;
      double tx = w * cx - s * dx, ty = w * cy - s * dy, tz = w * cz - s * dz;
      gm[j] += v * along;
      gX[j] += tx;
      gX[n + j] += ty;
      gX[2 * n + j] += tz;
      gx += tx;
      gy += ty;
      gz += tz;
    }
    gX[i] -= gx;
    gX[n + i] -= gy;
    gX[2 * n + i] -= gz;
  }
}

WORK bodies(const slot *in, slot *out, int value, int gradient) {
  long n = in[7].n, steps = in[8].n, size = 3 * n;
  const double *m = in[6].p, h = 0.01;
  double *X = room(0, size), *V = room(1, size), *A = room(2, size), *kept = gradient ? room(3, steps * size) : 0;
  memcpy(X, in[0].p, size * sizeof(double));
  memcpy(V, in[3].p, size * sizeof(double));
  for (long k = 0; k < steps; k++) {
    for (long i = 0; i < size; i++) X[i] += h / 2 * V[i];
    if (gradient) memcpy(kept + k * size, X, size * sizeof(double));
    if (gradient)
      pull_in_lanes(A, X, m, n);
    else
      pull_in_order(A, X, m, n);
    for (long i = 0; i < size; i++) V[i] += h * A[i];
    for (long i = 0; i < size; i++) X[i] += h / 2 * V[i];
  }
  if (value) {
    double s = 0;
    for (long i = 0; i < size; i++) s += X[i] * X[i];
    out[0].d = s;
  }
  if (!gradient) return;
  double *restrict gX = out[1].p, *restrict gV = out[2].p, *restrict gm = out[3].p;
  memset(gV, 0, size * sizeof(double));
  memset(gm, 0, n * sizeof(double));
  for (long i = 0; i < size; i++) gX[i] = 2 * X[i];
  for (long k = steps; k-- > 0;) {
    for (long i = 0; i < size; i++) gV[i] += h / 2 * gX[i];
    for (long i = 0; i < size; i++) A[i] = h * gV[i];
    pull_back(A, kept + k * size, m, gX, gm, n);
    for (long i = 0; i < size; i++) gV[i] += h / 2 * gX[i];
  }
}
KERNELS(bodies)
