#include "bench.h"

/* the dimension and the number of components may be known */
#ifndef DIMENSION
#define DIMENSION in[10].n
#define COMPONENTS in[1].n
#endif

/* alpha[K], mu[K][D], icf[K][D(D+1)/2], X[N][D]. Triangular matrices lie column by column, so that the inner loops go
   along rows; half of the products with zero are saved. */
WORK mixture(const slot *in, slot *out, int value, int gradient) {
  const double *restrict alpha = in[0].p, *restrict mu = in[2].p, *restrict icf = in[5].p, *restrict X = in[8].p;
  const long K = COMPONENTS, D = DIMENSION;
  long width = D * (D + 1) / 2, N = in[9].n;
  double *restrict L = room(0, K * D * D), *restrict y = room(1, K * D), *restrict far = room(2, K * D);
  double *restrict gL = room(3, K * D * D), *restrict term = room(4, K), *restrict q = room(5, K);
  double *restrict gw = room(6, K);
  double prior = 0, total = 0;
  for (long k = 0; k < K; k++) {
    const double *c = icf + k * width;
    q[k] = 0;
    for (long i = 0, place = D; i < D; i++) {
      double *column = L + (k * D + i) * D;
      memset(column, 0, i * sizeof(double));
      column[i] = exp(c[i]);
      q[k] += c[i];
      prior += column[i] * column[i];
      for (long j = i + 1; j < D; j++) {
        column[j] = c[place++];
        prior += column[j] * column[j];
      }
    }
  }
  double *restrict galpha = out[1].p, *restrict gmu = out[2].p, *restrict gicf = out[3].p;
  if (gradient) {
    memset(gL, 0, K * D * D * sizeof(double));
    memset(gmu, 0, K * D * sizeof(double));
    memset(gw, 0, K * sizeof(double));
  }
  for (long p = 0; p < N; p++) {
    const double *x = X + p * D;
    double most = -INFINITY, sum = 0;
    for (long k = 0; k < K; k++) {
      double yk[D], square = 0;
      for (long j = 0; j < D; j++) yk[j] = 0;
      for (long i = 0; i < D; i++) {
        const double *column = L + (k * D + i) * D;
        double f = far[k * D + i] = x[i] - mu[k * D + i];
        for (long j = 0; j < D; j++) yk[j] += column[j] * f;
      }
#pragma omp simd reduction(+ : square)
      for (long j = 0; j < D; j++) square += yk[j] * yk[j];
      memcpy(y + k * D, yk, sizeof yk);
      term[k] = alpha[k] + q[k] - square / 2;
      if (term[k] > most) most = term[k];
    }
    for (long k = 0; k < K; k++) term[k] = exp(term[k] - most);
    for (long k = 0; k < K; k++) sum += term[k];
    if (value) total += most + log(sum);
    if (gradient)
      for (long k = 0; k < K; k++) {
        double w = term[k] / sum, yk[D];
        memcpy(yk, y + k * D, sizeof yk);
        gw[k] += w;
        for (long i = 0; i < D; i++) {
          const double *column = L + (k * D + i) * D;
          double *g = gL + (k * D + i) * D, f = w * far[k * D + i], t = 0;
          for (long j = 0; j < D; j++) g[j] -= f * yk[j];
#pragma omp simd reduction(+ : t)
          for (long j = 0; j < D; j++) t += column[j] * yk[j];
          gmu[k * D + i] += w * t;
        }
      }
  }
  double most = -INFINITY, sum = 0;
  for (long k = 0; k < K; k++)
    if (alpha[k] > most) most = alpha[k];
  for (long k = 0; k < K; k++) sum += exp(alpha[k] - most);
  if (value) out[0].d = total - N * (most + log(sum)) + prior / 2;
  if (gradient)
    for (long k = 0; k < K; k++) {
      galpha[k] = gw[k] - N * exp(alpha[k] - most) / sum;
      for (long i = 0, place = D; i < D; i++) {
        const double *column = L + (k * D + i) * D, *g = gL + (k * D + i) * D;
        gicf[k * width + i] = gw[k] + (g[i] + column[i]) * column[i];
        for (long j = i + 1; j < D; j++, place++) gicf[k * width + place] = g[j] + column[j];
      }
    }
}
KERNELS(mixture)
