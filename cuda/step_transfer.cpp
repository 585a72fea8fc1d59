// Batches to a device and numbers from it without a wait (core/device_step.h).
//
//   receive   page-locked buffer a -> device buffer a on the copy stream, beside the computation; the compute
//             stream waits for it and copies it to the place that the step reads. Then the same with b: a is
//             written again when both copies out of it are done, one of which the host waits for
//   start     device -> page-locked memory, on the compute stream

#include <array>
#include <cstring>

#include "tern/core/device_step.h"
#include "tern/core/error.h"
#include "tern/cuda/runtime.h"

namespace tern::cu {
namespace {

constexpr int64_t kPlace = 512;  // tensors begin at multiples of it, as blocks of the allocator do

// Where tensors lie one after the other in a range of bytes.
class Places {
 public:
  void add(const Tensor& t) {
    offsets_.push_back(bytes_);
    bytes_ += (t.bytes() + kPlace - 1) / kPlace * kPlace;
  }
  int64_t offset(size_t i) const { return offsets_[i]; }
  int64_t bytes() const { return bytes_; }

 private:
  std::vector<int64_t> offsets_;
  int64_t bytes_ = 0;
};

void copy_on(cudaStream_t stream, void* to, const void* from, int64_t bytes, cudaMemcpyKind kind) {
  if (bytes > 0) TERN_CUDA_CALL(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), kind, stream));
}

class StagedInbox final : public Inbox {
 public:
  StagedInbox(Device device, const std::vector<Tensor>& like) : gpu_(runtime(device)) {
    for (const Tensor& t : like) places_.add(t);
    const auto memory = [&] { return Tensor::empty({places_.bytes()}, {DType::U8, device}); };
    place_ = memory();
    for (size_t i = 0; i < like.size(); ++i)
      tensors_.push_back(Tensor::view_of(Ref<Storage>(&place_.storage()),
                                         places_.offset(i) / size_of(like[i].dtype()), like[i].shape(),
                                         like[i].dtype()));
    for (Slot& slot : slots_) {
      slot.host = std::make_unique<PinnedBuffer>(static_cast<size_t>(places_.bytes()));
      slot.bytes = memory();
      slot.taken.record(gpu_.compute_stream());  // whoever had this memory before has used it
    }
  }

  void receive(const std::vector<Tensor>& host) override {
    check(host.size() == tensors_.size(), "inbox: ", host.size(), " tensors, made for ", tensors_.size());
    Slot& slot = slots_[next_];
    next_ = (next_ + 1) % slots_.size();
    slot.sent.wait_on_host();
    for (size_t i = 0; i < host.size(); ++i) {
      check<ShapeError>(host[i].shape() == tensors_[i].shape() && host[i].dtype() == tensors_[i].dtype(),
                        "inbox: got ", describe(host[i]), ", made for ", describe(tensors_[i]));
      std::memcpy(static_cast<char*>(slot.host->data()) + places_.offset(i), host[i].raw_data(),
                  static_cast<size_t>(host[i].bytes()));
    }
    slot.taken.wait_on(gpu_.copy_stream());
    copy_on(gpu_.copy_stream(), slot.bytes.raw_data(), slot.host->data(), places_.bytes(),
            cudaMemcpyHostToDevice);
    slot.sent.record(gpu_.copy_stream());
    slot.sent.wait_on(gpu_.compute_stream());
    copy_on(gpu_.compute_stream(), place_.raw_data(), slot.bytes.raw_data(), places_.bytes(),
            cudaMemcpyDeviceToDevice);
    slot.taken.record(gpu_.compute_stream());
  }

  const std::vector<Tensor>& tensors() const override { return tensors_; }

 private:
  struct Slot {
    std::unique_ptr<PinnedBuffer> host;
    Tensor bytes;
    EventHandle sent, taken;  // copied out of host; copied out of bytes
  };

  Runtime& gpu_;
  Places places_;
  Tensor place_;
  std::vector<Tensor> tensors_;
  std::array<Slot, 2> slots_;
  size_t next_ = 0;
};

class PinnedReadback final : public Readback {
 public:
  explicit PinnedReadback(Device device) : stream_(runtime(device).compute_stream()) {}
  ~PinnedReadback() override {
    try {
      done_.wait_on_host();  // the copies write into the buffer
    } catch (...) {
      // The device fails: it copies nothing more.
    }
  }

  void start(const std::vector<Tensor>& from) override {
    done_.wait_on_host();
    places_ = {};
    from_.clear();
    for (const Tensor& t : from) {
      places_.add(t);
      from_.push_back({t.shape(), t.dtype()});
    }
    const auto bytes = static_cast<size_t>(places_.bytes());
    if (!host_ || host_->bytes() < bytes) host_ = std::make_unique<PinnedBuffer>(bytes);
    for (size_t i = 0; i < from.size(); ++i)
      copy_on(stream_, at(i), from[i].raw_data(), from[i].bytes(), cudaMemcpyDeviceToHost);
    done_.record(stream_);
  }

  std::vector<Tensor> finish() override {
    done_.wait_on_host();
    std::vector<Tensor> result;
    for (size_t i = 0; i < from_.size(); ++i) {
      Tensor t = Tensor::empty(from_[i].shape, {from_[i].dtype});
      std::memcpy(t.raw_data(), at(i), static_cast<size_t>(t.bytes()));
      result.push_back(std::move(t));
    }
    return result;
  }

 private:
  struct Like {
    Shape shape;
    DType dtype;
  };
  char* at(size_t i) const { return static_cast<char*>(host_->data()) + places_.offset(i); }

  cudaStream_t stream_;
  Places places_;
  std::vector<Like> from_;
  std::unique_ptr<PinnedBuffer> host_;
  EventHandle done_;
};

}  // namespace

std::unique_ptr<Inbox> make_inbox(Device device, const std::vector<Tensor>& like) {
  return std::make_unique<StagedInbox>(device, like);
}
std::unique_ptr<Readback> make_readback(Device device) { return std::make_unique<PinnedReadback>(device); }

}  // namespace tern::cu
