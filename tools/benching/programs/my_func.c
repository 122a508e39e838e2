#include "bench.h"

/* two inputs: the derivatives go along; what depends on the counter alone comes first, in a loop that has vectors */
WORK my_func(const slot *in, slot *out, int value, int gradient) {
  enum { N = 100 };
  double a = in[0].d, b = in[1].d, z = 0, za = 0, zb = 0, s[N], c[N];
  for (int i = 0; i < N; i++) s[i] = sin(b - i);
  if (gradient) {
    __asm__ volatile("" ::: "memory");
    for (int i = 0; i < N; i++) c[i] = cos(b - i);
  }
  for (int i = 0; i < N; i++) {
    double co = cos(z + i);
    if (gradient) {
      double slope = s[i] - a * sin(z + i);
      za = co + slope * za;
      zb = z * c[i] + slope * zb;
    }
    z = a * co + z * s[i];
  }
  if (value) out[0].d = z;
  if (gradient) {
    out[1].d = za;
    out[2].d = zb;
  }
}
#ifdef __FAST_MATH__
KERNELS(my_func)
#else /* without vectors, sin and cos of one argument together are better */
WORK together(const slot *in, slot *out, int value, int gradient) {
  double a = in[0].d, b = in[1].d, z = 0, za = 0, zb = 0;
  for (int i = 0; i < 100; i++) {
    double co = cos(z + i), sb = sin(b - i);
    if (gradient) {
      double slope = sb - a * sin(z + i);
      za = co + slope * za;
      zb = z * cos(b - i) + slope * zb;
    }
    z = a * co + z * sb;
  }
  if (value) out[0].d = z;
  if (gradient) {
    out[1].d = za;
    out[2].d = zb;
  }
}
KERNELS(together)
#endif
