#include "tern/cpu/exact_kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>
#include <vector>

#include "tern/cpu/isa.h"
#include "tern/cpu/reference/squared_distance.h"
#include "tern/cpu/triplet_batch.h"
#include "tern/ops/weight_formulas.h"
#include "tests/support/tensors.h"

namespace tern::cpu {
namespace {

uint64_t bits(double x) { return std::bit_cast<uint64_t>(x); }

// Depths of one block of the packed batch and of several, numbers of photos that fill no panel and no pair of
// rows, and squares beyond the range of f32.
TEST(ExactTile, HasTheBitsOfTheNaiveLoop) {
  struct {
    int64_t n, d;
    float scale;
  } const cases[] = {{1, 1, 1}, {5, 3, 1}, {33, 128, 1}, {47, 513, 1}, {20, 1100, 0.01f}, {17, 40, 1e30f}};
  std::mt19937 random(7);
  for (const auto& c : cases) {
    std::normal_distribution<float> normal(0, c.scale);
    std::vector<float> u;
    std::vector<int64_t> labels;
    for (int64_t i = 0; i < c.n * c.d; ++i) u.push_back(normal(random));
    for (int64_t i = 0; i < c.n; ++i) labels.push_back(static_cast<int64_t>(random() % 5));
    test::for_each_isa([&](Isa isa) {
      SortedBatch batch(u.data(), labels.data(), c.n, c.d);
      batch.pack();
      ExactTile tile(batch);
      int64_t different = 0;
      for (int64_t first = 0; first < c.n; first += batch.tile_rows()) {
        const int64_t rows = std::min(batch.tile_rows(), c.n - first);
        tile.compute(first, rows);
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t j = 0; j < c.n; ++j)
            different += bits(tile.row(r)[j]) !=
                         bits(reference::squared_distance(batch.row(first + r), batch.row(j), c.d));
      }
      EXPECT_EQ(different, 0) << to_string(isa) << ", " << c.n << " x " << c.d;
    });
  }
}

// Distances on both sides of the bounds 1/2 and 1.4, and where the logarithms would have no argument.
TEST(Weights, HaveTheBitsOfTheNaiveLoop) {
  std::mt19937 random(8);
  std::uniform_real_distribution<double> uniform(0, 2.2);
  for (const int64_t n : {0, 1, 2, 7, 8, 31, 200}) {
    std::vector<double> squares = {0, 0.25, std::nextafter(0.25, 1.0), 1.96, std::nextafter(1.96, 0.0),
                                   4, 1e300};
    while (static_cast<int64_t>(squares.size()) < n) squares.push_back(uniform(random));
    squares.resize(static_cast<size_t>(n));
    std::shuffle(squares.begin(), squares.end(), random);
    for (const int64_t d : {2, 3, 128, 512})
      test::for_each_isa([&](Isa isa) {
        std::vector<double> w = squares;
        double expected = -HUGE_VAL;
        for (const double s : squares) expected = std::max(expected, log_weight(s, d));
        const double largest = exact_kernels().log_weights(w.data(), n, d);
        EXPECT_EQ(bits(largest), bits(expected)) << to_string(isa);
        for (size_t j = 0; j < w.size(); ++j) EXPECT_EQ(bits(w[j]), bits(log_weight(squares[j], d)));
        exact_kernels().relative_weights(w.data(), n, largest);
        for (size_t j = 0; j < w.size(); ++j)
          EXPECT_EQ(bits(w[j]), bits(relative_weight(log_weight(squares[j], d), largest))) << squares[j];
      });
  }
}

// The logarithm and the exponential themselves, against the C library.
TEST(Weights, FollowTheFormula) {
  for (const double s : {0.0, 0.25, 0.3, 1.0, 1.5, 1.95}) {
    const double q = std::max(s, 0.25), dim = 128;
    const double expected = (2 - dim) / 2 * std::log(q) + (3 - dim) / 2 * std::log(1 - q / 4);
    EXPECT_NEAR(log_weight(s, 128), expected, 1e-13 * std::abs(expected)) << s;
  }
  EXPECT_EQ(log_weight(1.97, 128), -HUGE_VAL);
  for (const double x : {0.0, -1e-9, -0.5, -1.0, -40.0, -600.0})
    EXPECT_NEAR(relative_weight(x + 3, 3.0), std::exp(x + 3 - 3), 1e-14 * std::exp(x)) << x;
  EXPECT_EQ(relative_weight(-HUGE_VAL, 3.0), 0);
  EXPECT_EQ(relative_weight(-HUGE_VAL, -HUGE_VAL), 0);
}

}  // namespace
}  // namespace tern::cpu
