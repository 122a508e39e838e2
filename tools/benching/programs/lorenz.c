#include "bench.h"

typedef struct {
  double x, y, z;
} state;
typedef struct {
  double s, r, b;
} parameters;
#define INLINE static inline __attribute__((always_inline))

INLINE state slope(state u, parameters p) {
  return (state){p.s * (u.y - u.x), u.x * (p.r - u.z) - u.y, u.x * u.y - p.b * u.z};
}
INLINE state along(state u, double h, state k) { return (state){u.x + h * k.x, u.y + h * k.y, u.z + h * k.z}; }
/* the cotangent k of a slope at u, carried to the state (which is given back) and to the parameters */
INLINE state slope_back(state u, parameters p, state k, parameters *g) {
  g->s += (u.y - u.x) * k.x;
  g->r += u.x * k.y;
  g->b -= u.z * k.z;
  return (state){(p.r - u.z) * k.y - p.s * k.x + u.y * k.z, p.s * k.x - k.y + u.x * k.z, -u.x * k.y - p.b * k.z};
}
INLINE state step(state u, parameters p, double h) {
  state k1 = slope(u, p), k2 = slope(along(u, h / 2, k1), p), k3 = slope(along(u, h / 2, k2), p);
  state k4 = slope(along(u, h, k3), p);
  state sum = {k1.x + 2 * k2.x + 2 * k3.x + k4.x, k1.y + 2 * k2.y + 2 * k3.y + k4.y, k1.z + 2 * k2.z + 2 * k3.z + k4.z};
  return along(u, h / 6, sum);
}
INLINE state step_back(state u, parameters p, double h, state c, parameters *g) {
  state k1 = slope(u, p), u2 = along(u, h / 2, k1), k2 = slope(u2, p), u3 = along(u, h / 2, k2), k3 = slope(u3, p);
  state u4 = along(u, h, k3), none = {0, 0, 0};
  state sixth = along(none, h / 6, c), third = along(none, h / 3, c);
  state c4 = slope_back(u4, p, sixth, g);
  state c3 = slope_back(u3, p, along(third, h, c4), g);
  state c2 = slope_back(u2, p, along(third, h / 2, c3), g);
  state c1 = slope_back(u, p, along(sixth, h / 2, c2), g);
  return along(along(along(along(c, 1, c4), 1, c3), 1, c2), 1, c1);
}

/* the state of each step is saved, its stages are computed again */
WORK lorenz(const slot *in, slot *out, int value, int gradient) {
  state u = {in[0].d, in[1].d, in[2].d};
  parameters p = {in[3].d, in[4].d, in[5].d}, g = {0, 0, 0};
  long n = in[6].n;
  double h = 5.0 / n;
  state *saved = gradient ? (state *)room(0, 3 * n) : 0;
  for (long i = 0; i < n; i++) {
    if (gradient) saved[i] = u;
    u = step(u, p, h);
  }
  if (value) out[0].d = u.x;
  if (gradient) {
    state c = {1, 0, 0};
    for (long i = n - 1; i >= 0; i--) c = step_back(saved[i], p, h, c, &g);
    double all[] = {c.x, c.y, c.z, g.s, g.r, g.b};
    for (int k = 0; k < 6; k++) out[1 + k].d = all[k];
  }
}
KERNELS(lorenz)

/* forwards: the six derivatives in the lanes of one vector, nothing saved */
typedef double lanes __attribute__((vector_size(64)));
typedef struct {
  lanes x, y, z;
} tangents;
INLINE tangents slope_along(state u, parameters p, tangents t, lanes ds, lanes dr, lanes db) {
  return (tangents){p.s * (t.y - t.x) + ds * (u.y - u.x), (p.r - u.z) * t.x + u.x * (dr - t.z) - t.y,
                    u.x * t.y + u.y * t.x - p.b * t.z - db * u.z};
}
INLINE tangents along_lanes(tangents u, double h, tangents k) {
  return (tangents){u.x + h * k.x, u.y + h * k.y, u.z + h * k.z};
}
WORK forwards(const slot *in, slot *out, int value) {
  state u = {in[0].d, in[1].d, in[2].d};
  parameters p = {in[3].d, in[4].d, in[5].d};
  long n = in[6].n;
  double h = 5.0 / n;
  tangents t = {{1, 0, 0, 0, 0, 0, 0, 0}, {0, 1, 0, 0, 0, 0, 0, 0}, {0, 0, 1, 0, 0, 0, 0, 0}};
  lanes ds = {0, 0, 0, 1, 0, 0, 0, 0}, dr = {0, 0, 0, 0, 1, 0, 0, 0}, db = {0, 0, 0, 0, 0, 1, 0, 0};
  for (long i = 0; i < n; i++) {
    state k1 = slope(u, p), u2 = along(u, h / 2, k1), k2 = slope(u2, p), u3 = along(u, h / 2, k2), k3 = slope(u3, p);
    state u4 = along(u, h, k3), k4 = slope(u4, p);
    tangents t1 = slope_along(u, p, t, ds, dr, db);
    tangents t2 = slope_along(u2, p, along_lanes(t, h / 2, t1), ds, dr, db);
    tangents t3 = slope_along(u3, p, along_lanes(t, h / 2, t2), ds, dr, db);
    tangents t4 = slope_along(u4, p, along_lanes(t, h, t3), ds, dr, db);
    state sum = {k1.x + 2 * k2.x + 2 * k3.x + k4.x, k1.y + 2 * k2.y + 2 * k3.y + k4.y,
                 k1.z + 2 * k2.z + 2 * k3.z + k4.z};
    tangents all = {t1.x + 2 * t2.x + 2 * t3.x + t4.x, t1.y + 2 * t2.y + 2 * t3.y + t4.y,
                    t1.z + 2 * t2.z + 2 * t3.z + t4.z};
    u = along(u, h / 6, sum);
    t = along_lanes(t, h / 6, all);
  }
  if (value) out[0].d = u.x;
  for (int k = 0; k < 6; k++) out[1 + k].d = t.x[k];
}
KERNEL(forward, forwards(in, out, 0))
KERNEL(forward_both, forwards(in, out, 1))
