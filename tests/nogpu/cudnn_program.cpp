#include "tern/tests/nogpu/cudnn_program.h"

#include "tern/tests/nogpu/library_memory.h"

namespace nogpu {
namespace {

// What a tensor holds while a program runs, from the first element of its memory to the last.
using Numbers = std::vector<double>;

std::string name_of(const GraphTensor& t) { return "cudnn stand-in: tensor " + std::to_string(t.uid); }

class Memory {
 public:
  explicit Memory(const Pointers& pointers) : pointers_(pointers) {}

  const Numbers& read(const GraphTensor& t) {
    const auto [at, is_new] = numbers_.try_emplace(t.uid);
    if (!is_new) return at->second;
    if (t.intermediate) throw Fault(name_of(t) + " is read before it is computed");
    void* data = pointers_.at(t.uid);
    at->second = t.type == CUDNN_DATA_BFLOAT16 ? read_numbers<tern::bfloat16>(data, t.extent(), name_of(t))
                                               : read_numbers<float>(data, t.extent(), name_of(t));
    return at->second;
  }
  void write(const GraphTensor& t, Numbers numbers) {
    if (!t.intermediate) {
      void* data = pointers_.at(t.uid);
      if (t.type == CUDNN_DATA_BFLOAT16) write_numbers<tern::bfloat16>(data, numbers, name_of(t));
      else write_numbers<float>(data, numbers, name_of(t));
    }
    for (double& v : numbers) v = static_cast<float>(v);  // intermediates are f32
    numbers_[t.uid] = std::move(numbers);
  }

 private:
  const Pointers& pointers_;
  std::map<int64_t, Numbers> numbers_;
};

// The tap (r, s) of an output (p, q) meets the input pixel (h, v).
bool input_pixel(const GraphOperation& o, int64_t p, int64_t q, int64_t r, int64_t s, int64_t& h,
                 int64_t& v) {
  h = p * o.strides[0] - o.padding[0] + r * o.dilation[0];
  v = q * o.strides[1] - o.padding[1] + s * o.dilation[1];
  return h >= 0 && v >= 0 && h < o.x.sizes[2] && v < o.x.sizes[3];
}

int64_t offset(const GraphTensor& t, int64_t a, int64_t b, int64_t c, int64_t d) {
  return a * t.strides[0] + b * t.strides[1] + c * t.strides[2] + d * t.strides[3];
}

// f(offset in x, offset in w, offset in y) for every product of the convolution.
template <class F>
void for_each_product(const GraphOperation& o, const F& f) {
  const auto &w = o.w.sizes, &y = o.y.sizes;
  const int64_t groups = o.x.sizes[1] / w[1], of_group = w[0] / groups;
  for (int64_t n = 0; n < y[0]; ++n)
    for (int64_t p = 0; p < y[2]; ++p)
      for (int64_t q = 0; q < y[3]; ++q)
        for (int64_t r = 0; r < w[2]; ++r)
          for (int64_t s = 0; s < w[3]; ++s) {
            int64_t h = 0, v = 0;
            if (!input_pixel(o, p, q, r, s, h, v)) continue;
            for (int64_t k = 0; k < w[0]; ++k)
              for (int64_t c = 0; c < w[1]; ++c)
                f(offset(o.x, n, k / of_group * w[1] + c, h, v), offset(o.w, k, c, r, s),
                  offset(o.y, n, k, p, q));
          }
}

void convolve(const GraphOperation& o, Memory& memory) {
  const bool data = o.type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR;
  const bool filter = o.type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR;
  const GraphTensor &out = data     ? o.x
                           : filter ? o.w
                                    : o.y,
                    &left = data ? o.y : o.x, &right = filter ? o.y : o.w;
  const Numbers a = memory.read(left), b = memory.read(right);
  Numbers sums(static_cast<size_t>(out.extent()), 0.0);
  for_each_product(o, [&](int64_t x, int64_t w, int64_t y) {
    const int64_t to = data ? x : filter ? w : y, first = data ? y : x, second = filter ? y : w;
    sums[static_cast<size_t>(to)] += a[static_cast<size_t>(first)] * b[static_cast<size_t>(second)];
  });
  memory.write(out, std::move(sums));
}

double apply(const GraphOperation& o, double a, double b) {
  switch (o.mode) {
    case CUDNN_POINTWISE_IDENTITY: return a;
    case CUDNN_POINTWISE_ADD: return a + b;
    case CUDNN_POINTWISE_RELU_FWD: return a > 0 || (o.keeps_nan && a != a) ? a : 0;
    default: throw Fault("cudnn stand-in: no pointwise mode " + std::to_string(static_cast<int>(o.mode)));
  }
}

// Axes of size 1 are stretched.
int64_t stretched(const GraphTensor& t, const std::vector<int64_t>& at) {
  int64_t sum = 0;
  for (size_t i = 0; i < at.size(); ++i) sum += t.sizes[i] == 1 ? 0 : at[i] * t.strides[i];
  return sum;
}

void pointwise(const GraphOperation& o, Memory& memory) {
  const Numbers a = memory.read(o.x), b = o.binary ? memory.read(o.w) : Numbers{};
  Numbers result(static_cast<size_t>(o.y.extent()), 0.0);
  std::vector<int64_t> at(4);
  const auto& size = o.y.sizes;
  for (at[0] = 0; at[0] < size[0]; ++at[0])
    for (at[1] = 0; at[1] < size[1]; ++at[1])
      for (at[2] = 0; at[2] < size[2]; ++at[2])
        for (at[3] = 0; at[3] < size[3]; ++at[3]) {
          const double left = a[static_cast<size_t>(stretched(o.x, at))];
          const double right = o.binary ? b[static_cast<size_t>(stretched(o.w, at))] : 0;
          result[static_cast<size_t>(stretched(o.y, at))] = apply(o, left, right);
        }
  memory.write(o.y, std::move(result));
}

}  // namespace

void run_program(const Program& program, const Pointers& pointers) {
  Memory memory(pointers);
  for (const GraphOperation& o : program.operations) {
    if (o.type == CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR) pointwise(o, memory);
    else convolve(o, memory);
  }
}

std::vector<const GraphTensor*> tensors_of(const Program& program) {
  std::vector<const GraphTensor*> result;
  for (const GraphOperation& o : program.operations) {
    for (const GraphTensor* t : {&o.x, &o.w, &o.y})
      if (!t->intermediate && !t->sizes.empty()) result.push_back(t);
  }
  return result;
}

}  // namespace nogpu
