"""Values, gradients and the code of a derivative, from Python."""

from pathlib import Path

import dsl

m = dsl.load(Path(__file__).with_name("model.dfl"))

print("f(5) and f(5.0):           ", m.f(5), m.f(5.0))
print("its gradient at 5:         ", dsl.gradient(m.f, 5))
print("first, second derivative:  ", dsl.grad(m.f)(5.0), dsl.grad(dsl.grad(m.f))(5.0))
print("x^n by a loop, by x and n: ", dsl.gradient(m.pow, 2, 3))
print("value and gradient at once:", dsl.value_and_grad(m.pow)(1.5, 2))
print("the sum of two points:     ", m.eval("a + b"))

value, back = dsl.vjp(m.newton, 2.0, 20)
print("√2 by Newton's method:     ", value)
print("and 1/(2√2):               ", back(1.0)[0])

print()
print(m.code_llvm("wave'(π)"))
