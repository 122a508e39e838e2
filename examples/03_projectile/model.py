"""A ball is aimed by gradients: through its differential equation, and through the time at which it comes down.

    python examples/03_projectile/model.py [picture.png]
"""

import sys
from pathlib import Path

import numpy as np
from scipy.optimize import brentq

import dsl

m = dsl.load(Path(__file__).with_name("model.dfl"))
SPEED, DRAG, WIND, TARGET = 30.0, 0.02, -4.0, 32.0

with_slopes = dsl.value_and_grad(m.range_of, argnums=(0, 1, 2, 3))

print("to a target 32 m away, with 30 m/s against the wind:")
angle, shots = 0.2, []
for shot in range(1, 9):
    distance, slopes = with_slopes(angle, SPEED, DRAG, WIND)
    shots.append(angle)
    print(f"  shot {shot}: at {np.degrees(angle):6.3f}° it flies {distance:7.4f} m")
    if abs(distance - TARGET) < 1e-3:
        break
    angle += (TARGET - distance) / slopes[0]

print("what the distance depends on, by its gradient:")
by_angle, by_speed, by_drag, by_wind = slopes
print(f"  {by_angle * np.pi / 180:7.4f} m for a degree,      {by_speed:7.4f} m for 1 m/s of speed")
print(f"  {by_drag * 0.001:7.4f} m for 0.001 of drag, {by_wind:7.4f} m for 1 m/s of wind")

best = brentq(lambda a: with_slopes(a, SPEED, DRAG, WIND)[1][0], 0.3, 1.0)
print(f"the farthest throw is {m.range_of(best, SPEED, DRAG, WIND):.4f} m, at {np.degrees(best):.3f}°")

if len(sys.argv) > 1:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    plt.figure(figsize=(5, 2.8), dpi=80)
    for a, color in [*((a, "#aaaaaa") for a in shots[:-1]), (shots[-1], "#c46a10"), (best, "#2b5c8a")]:
        xs, ys = np.array(m.path(a, SPEED, DRAG, WIND, np.linspace(0, 5, 400))).T
        down = int(np.argmax(ys[1:] < 0)) + 1
        plt.plot(xs[:down], ys[:down], color=color)
    plt.plot([TARGET], [0], "k^", ms=8, clip_on=False)
    plt.xlabel("m")
    plt.ylabel("m")
    plt.ylim(0, None)
    plt.tight_layout()
    plt.savefig(sys.argv[1])
