#include "bench.h"

/* the dimension and the number of components may be known */
#ifndef DIMENSION
#define DIMENSION in[10].n
#define COMPONENTS in[1].n
#endif

/* alpha[K], mu[K][D], icf[K][D(D+1)/2], X[N][D]. Triangular matrices lie column by column, with zeros in front and
   behind, so that the inner loops go over whole vectors and most products with zero are saved. */
WORK mixture(const slot *in, slot *out, int value, int gradient) {
  const double *restrict alpha = in[0].p, *restrict mu = in[2].p, *restrict icf = in[5].p, *restrict X = in[8].p;
  const long K = COMPONENTS, D = DIMENSION;
  long width = D * (D + 1) / 2, N = in[9].n;
  const long P = (D + 3) / 4 * 4;
  double *restrict L = room(0, K * D * P), *restrict y = room(1, K * P), *restrict far = room(2, K * D);
  double *restrict gL = room(3, K * D * P), *restrict term = room(4, K), *restrict q = room(5, K);
  double *restrict gw = room(6, K), *restrict sums = room(7, K * P);
  double prior = 0, total = 0;
  for (long k = 0; k < K; k++) {
    const double *c = icf + k * width;
    q[k] = 0;
    for (long i = 0, place = D; i < D; i++) {
      double *column = L + (k * D + i) * P;
      memset(column, 0, P * sizeof(double));
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
    memset(gL, 0, K * D * P * sizeof(double));
    memset(sums, 0, K * P * sizeof(double));
    memset(gw, 0, K * sizeof(double));
  }
  for (long p = 0; p < N; p++) {
    const double *x = X + p * D;
    double most = -INFINITY, sum = 0;
    for (long k = 0; k < K; k++) {
      double yk[P] __attribute__((aligned(32))), square = 0;
      for (long j = 0; j < P; j++) yk[j] = 0;
#pragma GCC unroll 32
      for (long i = 0; i < D; i++) {
        const double *column = L + (k * D + i) * P;
        double f = far[k * D + i] = x[i] - mu[k * D + i];
#pragma omp simd
        for (long j = i / 4 * 4; j < P; j++) yk[j] += column[j] * f;
      }
#pragma omp simd reduction(+ : square)
      for (long j = 0; j < P; j++) square += yk[j] * yk[j];
      memcpy(y + k * P, yk, sizeof yk);
      term[k] = alpha[k] + q[k] - square / 2;
      if (term[k] > most) most = term[k];
    }
    for (long k = 0; k < K; k++) term[k] = exp(term[k] - most);
    for (long k = 0; k < K; k++) sum += term[k];
    if (value) total += most + log(sum);
    if (gradient)
      for (long k = 0; k < K; k++) {
        double w = term[k] / sum, wy[P] __attribute__((aligned(32)));
        gw[k] += w;
        for (long j = 0; j < P; j++) wy[j] = w * y[k * P + j];
        for (long j = 0; j < P; j++) sums[k * P + j] += wy[j];
#pragma GCC unroll 32
        for (long i = 0; i < D; i++) {
          double *restrict g = gL + (k * D + i) * P, f = far[k * D + i];
#pragma omp simd
          for (long j = i / 4 * 4; j < P; j++) g[j] -= f * wy[j];
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
        const double *column = L + (k * D + i) * P, *g = gL + (k * D + i) * P;
        double t = 0; /* the sums of w y, through the matrix, are what moves the mean */
        for (long j = i; j < D; j++) t += column[j] * sums[k * P + j];
        gmu[k * D + i] = t;
        gicf[k * width + i] = gw[k] + (g[i] + column[i]) * column[i];
        for (long j = i + 1; j < D; j++, place++) gicf[k * width + place] = g[j] + column[j];
      }
    }
}
KERNELS(mixture)
