#pragma once
// What a loop of equal steps on a GPU needs so that the host neither waits for it nor issues every launch
// anew:
//
//   Inbox       batches travel beside the computation, into memory whose addresses stay the same
//   Recording   what a step issues, recorded once and issued again as a whole
//   Readback    numbers travel to the host, which looks at them some steps later
//
// A recorded step is the device's part of a function, with the addresses and sizes that it had: what the host
// did on the way (a counter, a branch, a number handed to a kernel) is not done again. What changes from step
// to step therefore comes through memory: the inbox, or what is written before a replay. Random draws whose
// address holds the training step are told how many steps later they are made (DropoutOptions::per_step,
// BatchTripletOptions::step). A function that waits for the device, or sends it something, cannot be
// recorded: the call that would throws DeviceError.
//
// The CPU has no use for any of it: asking for one there throws UsageError.

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "tern/core/tensor.h"

namespace tern {

class Inbox {
 public:
  virtual ~Inbox() = default;
  // Sends the tensors, which are like those it was made for and may be changed as soon as this returns. The
  // host waits only for what was sent two calls ago to have left its memory.
  virtual void receive(const std::vector<Tensor>& host) = 0;
  // Where they arrive: in the order of the device's work, work issued before receive() sees the tensors
  // before.
  virtual const std::vector<Tensor>& tensors() const = 0;
};
std::unique_ptr<Inbox> make_inbox(Device device, const std::vector<Tensor>& like);

class Recording {
 public:
  virtual ~Recording() = default;
  // Issues what was recorded. steps_later: than the step that was recorded, for the addresses of random
  // draws.
  virtual void replay(int64_t steps_later) = 0;
};
// Calls body, which issues nothing yet: its work is kept. Tensors that it makes lie in memory of the
// recording's own, at the same addresses in each replay; those that outlive body hold what the latest replay
// left there. Nobody else may use the device meanwhile. Whatever body throws is passed on, and nothing is
// kept then.
std::unique_ptr<Recording> record_work(Device device, const std::function<void()>& body);

class Readback {
 public:
  virtual ~Readback() = default;
  // Queues the copies, behind the work issued so far.
  virtual void start(const std::vector<Tensor>& from) = 0;
  // Waits for them; gives them as tensors on the CPU.
  virtual std::vector<Tensor> finish() = 0;
};
std::unique_ptr<Readback> make_readback(Device device);

namespace cu {  // what a CUDA backend provides for the above
std::unique_ptr<Inbox> make_inbox(Device device, const std::vector<Tensor>& like);
std::unique_ptr<Recording> record_work(Device device, const std::function<void()>& body);
std::unique_ptr<Readback> make_readback(Device device);
}  // namespace cu

}  // namespace tern
