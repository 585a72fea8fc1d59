// Every allocation of a decode fails in turn: a typed error, and the next decode works. LeakSanitizer watches
// this test in the sanitizer build.

#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "tern/core/error.h"
#include "tern/data/image.h"
#include "tests/data/image_files.h"

namespace {
// 0: off; n: the n-th following allocation of this thread fails, and with `permanent` those after it.
thread_local int failing = 0;
thread_local bool permanent = false;

void* allocate(std::size_t size) {
  if (failing > 0 && --failing == 0) {
    if (permanent) failing = 1;
    throw std::bad_alloc();
  }
  if (void* p = std::malloc(size ? size : 1)) return p;
  throw std::bad_alloc();
}
}  // namespace

void* operator new(std::size_t size) { return allocate(size); }
void* operator new[](std::size_t size) { return allocate(size); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { std::free(p); }

namespace tern {
namespace {

using namespace test;

TEST(ImageMemory, EveryFailingAllocationIsATypedError) {
  const Image image = noise_image(20, 14, 3);
  for (const Bytes& bytes :
       {jpeg_file(image, {.orientation = 6}), png_file(image, {.orientation = 5}), write_pgm(image)}) {
    const Image expected = decode_image(bytes, "photo");
    for (const bool always : {false, true}) {
      int failures = 0;
      for (int nth = 1; nth < 100; ++nth) {
        bool failed = false;
        permanent = always;
        failing = nth;
        try {
          const Image decoded = decode_image(bytes, "photo");
          failing = 0;
          EXPECT_EQ(decoded, expected);
        } catch (const MemoryError&) {
          failed = true;
        } catch (const std::bad_alloc&) {
          failed = true;  // there was no memory for the text either
        }
        failing = 0;
        if (!failed) break;
        ++failures;
        EXPECT_EQ(decode_image(bytes, "photo"), expected);
      }
      EXPECT_GE(failures, 1);
      EXPECT_LT(failures, 50);
    }
  }
}

}  // namespace
}  // namespace tern
