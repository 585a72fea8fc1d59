#pragma once
// C[m,n] = op(A)[m,k] op(B)[k,n] (+ bias[n]) (+ C) on f32 matrices in row-major memory, op = transpose or
// nothing.
//
// The textbook scheme: B is packed once into panels of kNr columns, k is cut into blocks of at most 512, and
// tiles of C are computed by the register-blocked kernel of the active instruction set (cpu/gemm_kernels.h):
//
//   for each range of panels that fits the second-level cache, for each range of tile rows   (tasks,
//   parallel)
//     for each block of k
//       for each tile row          kMr rows of A are packed into the first-level cache; the next ones are
//       asked for
//         for each panel           B streams from the second-level cache
//           kMr x kNr of C in registers over the block of k
//
// Where the cuts of k lie depends on k alone, so the bits do not depend on the number of threads. Source:
// Goto and van de Geijn, Anatomy of High-Performance Matrix Multiplication, ACM TOMS 34(3), 2008.

#include <cstdint>

#include "tern/core/parallel.h"
#include "tern/cpu/gemm_kernels.h"
#include "tern/cpu/scratch.h"

namespace tern::cpu {

struct GemmProblem {
  int64_t m = 0, n = 0, k = 0;
  const float* a = nullptr;  // [m,k], or [k,m] with transpose_a
  int64_t lda = 0;           // distance of its rows; 0: dense
  bool transpose_a = false;
  const float* b = nullptr;  // [k,n], or [n,k] with transpose_b
  int64_t ldb = 0;
  bool transpose_b = false;
  float* c = nullptr;  // [m,n]; every element is written
  int64_t ldc = 0;
  const float* bias = nullptr;  // [n], added to every row
  bool accumulate = false;      // add to C
};

// Runs on the active instruction set; TERN_ISA=reference takes the naive loops. m, n or k may be 0.
void gemm(const GemmProblem& problem);

class PackedB;
// The same with op(B) packed before: b, ldb and transpose_b of the problem are not used.
void gemm(const GemmProblem& problem, const PackedB& b);

// How a sum of k terms is cut: blocks of equal length (the last may be shorter), about `most` or less.
struct DepthBlocks {
  explicit DepthBlocks(int64_t k, int64_t most = kMaxDepth);
  int64_t begin(int64_t block) const { return block * length; }
  int64_t size(int64_t block) const { return block + 1 < count ? length : k - block * length; }
  int64_t k, count, length;
};

// B in panels: [block of k][panel of columns][step of k][kNr].
class PackedB {
 public:
  PackedB(int64_t k, int64_t n, int64_t most_depth = kMaxDepth);  // memory only
  float* panel(int64_t block, int64_t panel) const {
    return data_.data() + (block * blocks.length * panels + panel * blocks.size(block)) * width;
  }
  void pack(const float* b, int64_t ldb, bool transposed);  // in parallel
  // In parallel: part(k, depth, column, columns, panel) writes the panel of that part of B.
  template <class Part>
  void fill(Part&& part) {
    parallel_for(blocks.count * panels, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        // A thread packs whole panels, which it will then use.
        const int64_t block = i % blocks.count, p = i / blocks.count, column = p * width;
        part(blocks.begin(block), blocks.size(block), column, n - column < width ? n - column : width,
             panel(block, p));
      }
    });
  }

  int64_t n, width, panels;
  DepthBlocks blocks;

 private:
  Scratch<float> data_;
};

// Floats in a core's second-level cache: as the system says, between 1 and 2 MiB; 1 MiB where it says
// nothing. For cuts over independent outputs, on which no bits depend.
int64_t second_level_cache();

// Panels of B cut into ranges, of which one stays in the second-level cache while rows of A stream past.
struct PanelRanges {
  // depth: of what is kept of a panel; share: of the cache; least: ranges, if there are as many panels.
  PanelRanges(const PackedB& b, int64_t depth, double share, int64_t least = 1);
  int64_t begin(int64_t range) const { return range * length; }
  int64_t end(int64_t range) const { return begin(range + 1) < panels ? begin(range + 1) : panels; }
  int64_t panels, length = 1, count = 0;
};

}  // namespace tern::cpu
