"""Writes triplet_margin_golden.h (then formatted by clang-format): torch.nn.functional.triplet_margin_loss and its gradients in float64.

Run with any Python that has torch. No case lies on a kink of the hinge, where versions of torch differ.
"""
import textwrap

import torch

torch.manual_seed(3)
A, P, N = (torch.randn(5, 4, dtype=torch.float64).round(decimals=3) for _ in range(3))
P[1] = A[1]  # coincident anchor and positive: the gradient is that of eps
N[2] = A[2]
print("#pragma once\n// Written by triplet_margin.py with torch", torch.__version__.split("+")[0] + ". Do not edit.\n")
print("#include <cmath>\n#include <vector>\n\nnamespace tern::test::golden {\n")


def row(values):
    text = "{" + ", ".join(repr(float(v) + 0.0) for v in values) + "}"
    return "\n".join(textwrap.wrap(text, 100, subsequent_indent="      "))


print("struct TripletMarginCase {\n  double p;\n  bool swap;\n  double margin;\n"
      "  std::vector<double> losses, da, dp, dn;\n};\n")
for name, x in (("A", A), ("P", P), ("N", N)):
    print(f"inline const std::vector<double> kTriplet{name} = {row(x.flatten())};")
print("\n// Gradients of sum(losses * (1, 2, 3, 4, 5)).\ninline const std::vector<TripletMarginCase> kTripletMarginCases = {")
w = torch.arange(1, 6, dtype=torch.float64)
for p in (1.0, 2.0, 3.0, 1.5, float("inf")):
    for swap in (False, True):
        for margin in (1.0, 4.0):
            a, b, c = (x.clone().requires_grad_() for x in (A, P, N))
            l = torch.nn.functional.triplet_margin_loss(a, b, c, margin=margin, p=p, swap=swap, reduction="none")
            (l * w).sum().backward()
            text = "HUGE_VAL" if p == float("inf") else repr(p)
            print(f"    {{{text}, {str(swap).lower()}, {margin},")
            print(",\n".join("     " + row(x) for x in (l.detach(), a.grad.flatten(), b.grad.flatten(), c.grad.flatten())) + "},")
print("};\n\n}  // namespace tern::test::golden")
