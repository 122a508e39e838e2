#include "bench.h"

static inline double normal(double x) { return 0.5 * (1 + erf(x * M_SQRT1_2)); }

/* the greeks in closed form */
WORK black_scholes(const slot *in, slot *out, int value, int gradient) {
  const double *restrict S = in[0].p, *restrict K = in[2].p, *restrict T = in[4].p, *restrict r = in[6].p;
  const double *restrict v = in[8].p;
  double *restrict gS = out[1].p, *restrict gK = out[2].p, *restrict gT = out[3].p, *restrict gr = out[4].p;
  double *restrict gv = out[5].p;
  double sum = 0;
  long n = in[1].n;
#pragma GCC ivdep
  for (long i = 0; i < n; i++) {
    double root = sqrt(T[i]), d1 = (log(S[i] / K[i]) + (r[i] + v[i] * v[i] / 2) * T[i]) / (v[i] * root);
    double n1 = normal(d1), paid = K[i] * exp(-r[i] * T[i]) * normal(d1 - v[i] * root);
    if (value) sum += S[i] * n1 - paid;
    if (gradient) {
      double density = S[i] * (M_2_SQRTPI * M_SQRT1_2 / 2) * exp(-d1 * d1 / 2);
      gS[i] = n1;
      gK[i] = -paid / K[i];
      gT[i] = density * v[i] / (2 * root) + r[i] * paid;
      gr[i] = T[i] * paid;
      gv[i] = density * root;
    }
  }
  if (value) out[0].d = sum;
}
KERNELS(black_scholes)
