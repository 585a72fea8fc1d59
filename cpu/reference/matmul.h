#pragma once
// The definition of a matrix product, in its own terms.

#include <cstdint>

namespace tern::cpu::reference {

// c[i * ldc + j] = sum over p of a(i, p) b(p, j); the element (i, p) of A is a[i * a_row + p * a_column].
template <class T>
struct MatrixProduct {
  int64_t m, n, k;
  const T* a;
  int64_t a_row, a_column;
  const T* b;
  int64_t b_row, b_column;
  T* c;
  int64_t ldc;
  const T* bias = nullptr;  // [n]
  bool accumulate = false;
};

template <class T>
void matmul(const MatrixProduct<T>& p) {
  for (int64_t i = 0; i < p.m; ++i)
    for (int64_t j = 0; j < p.n; ++j) {
      T sum = 0;
      for (int64_t q = 0; q < p.k; ++q)
        sum += p.a[i * p.a_row + q * p.a_column] * p.b[q * p.b_row + j * p.b_column];
      if (p.bias) sum += p.bias[j];
      T& c = p.c[i * p.ldc + j];
      c = p.accumulate ? c + sum : sum;
    }
}

}  // namespace tern::cpu::reference
