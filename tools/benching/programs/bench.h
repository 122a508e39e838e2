/* What the kernels in C share. Arguments and results come in slots: a number, or the address of an array's elements;
   an array's sizes follow in slots of their own. The first result is the value, then come the derivatives. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef union {
  double d;
  long n;
  double *p;
} slot;

#define KERNEL(name, ...)                                          \
  int name(void *context, const slot *in, slot *out) {             \
    (void)context;                                                 \
    __VA_ARGS__;                                                   \
    return 0;                                                      \
  }
/* value, gradient alone, and both together, of one function with two constants that say what is wanted */
#define KERNELS(work)                                              \
  KERNEL(value, work(in, out, 1, 0))                               \
  KERNEL(gradient, work(in, out, 0, 1))                            \
  KERNEL(both, work(in, out, 1, 1))
#define WORK static inline __attribute__((always_inline)) void

/* room for so many numbers, kept from call to call; as many places as a kernel needs */
static inline double *room(int place, long count) {
  static double *kept[8];
  static long size[8];
  if (size[place] < count) {
    free(kept[place]);
    kept[place] = aligned_alloc(64, (count * sizeof(double) + 63) / 64 * 64);
    size[place] = count;
  }
  return kept[place];
}
