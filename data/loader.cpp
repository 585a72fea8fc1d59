#include "tern/data/loader.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <map>
#include <mutex>
#include <new>
#include <set>
#include <system_error>
#include <thread>
#include <utility>

#include "tern/core/allocator.h"
#include "tern/core/error.h"
#include "tern/core/parallel.h"

namespace tern {

namespace {

// Prepared photos 0 .. capacity - 1 of the data set, filled as they are first asked for. Which photos are
// kept does not depend on the order of the asking.
class PhotoCache {
 public:
  PhotoCache(int64_t photos, int64_t photo_bytes, int64_t budget) : photo_bytes_(photo_bytes) {
    capacity_ = std::clamp<int64_t>(budget / photo_bytes, 0, photos);
    // Uninitialised: the system hands out pages as photos arrive.
    pixels_.reset(new (std::nothrow) uint8_t[static_cast<size_t>(capacity_ * photo_bytes)]);
    if (!pixels_) capacity_ = 0;
    states_ = std::make_unique<std::atomic<uint8_t>[]>(static_cast<size_t>(capacity_));
  }
  int64_t capacity() const { return capacity_; }

  bool get(int64_t photo, uint8_t* out) const {
    if (photo >= capacity_ || states_[photo].load(std::memory_order_acquire) != kFilled) return false;
    std::memcpy(out, pixels_.get() + photo * photo_bytes_, static_cast<size_t>(photo_bytes_));
    return true;
  }
  // The first to come fills; the others' identical bytes are not needed.
  void put(int64_t photo, const uint8_t* in) {
    uint8_t empty = kEmpty;
    if (photo >= capacity_ || !states_[photo].compare_exchange_strong(empty, kBusy)) return;
    std::memcpy(pixels_.get() + photo * photo_bytes_, in, static_cast<size_t>(photo_bytes_));
    states_[photo].store(kFilled, std::memory_order_release);
  }

 private:
  enum : uint8_t { kEmpty, kBusy, kFilled };
  int64_t photo_bytes_;
  int64_t capacity_ = 0;
  std::unique_ptr<uint8_t[]> pixels_;
  std::unique_ptr<std::atomic<uint8_t>[]> states_;
};

Image load_prepared(const Dataset& dataset, int64_t photo, const Preprocess& preprocess, int margin) {
  return prepare(dataset.load_reduced(photo, decode_side(preprocess)), preprocess, margin);
}

}  // namespace

class Loader::Impl {
 public:
  Impl(const Dataset& dataset, const PKSampler& sampler, Preprocess preprocess, AugmentOptions augment,
       LoaderOptions options)
      : dataset_(dataset),
        sampler_(sampler),
        preprocess_(preprocess),
        augment_(augment),
        options_(options),
        margin_(augment_margin(augment, preprocess.size)),
        side_(preprocess.size + 2 * margin_),
        cache_(dataset.size(), photo_bytes(),
               options.cache_bytes >= 0 ? options.cache_bytes : available_memory() / 4),
        next_step_(options.first_step),
        claimed_(options.first_step),
        wanted_(options.first_step) {
    if (options.unreadable == Unreadable::Skip) photos_of_ = photos_of_identities(dataset);
    start_workers();
  }

  ~Impl() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    room_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

  Batch next() {
    if (failure_) std::rethrow_exception(failure_);
    try {
      Made made = workers_.empty() ? make(next_step_) : wait_for(next_step_);
      if (made.error) std::rethrow_exception(made.error);
      account(made.unreadable);
      ++next_step_;
      return std::move(made.batch);
    } catch (...) {
      failure_ = std::current_exception();
      throw;
    }
  }

  int margin() const { return margin_; }
  AugmentOutput output() const { return {preprocess_.size, preprocess_.mean, preprocess_.std}; }
  int64_t cached_photos() const { return cache_.capacity(); }
  std::vector<int64_t> unreadable() const { return {unreadable_.begin(), unreadable_.end()}; }

 private:
  struct Made {
    Batch batch;
    std::vector<int64_t> unreadable;
    std::exception_ptr error;
  };

  // Where the system refuses a thread, fewer do: the batches are the same.
  void start_workers() {
    try {
      for (int i = 0; i < options_.workers; ++i) workers_.emplace_back([this] { work(); });
    } catch (const std::system_error&) {
    }
  }

  int64_t photo_bytes() const { return int64_t{side_} * side_ * preprocess_.channels; }

  void work() {
    const int64_t ahead = 2 * static_cast<int64_t>(options_.workers);
    while (true) {
      int64_t step;
      {
        std::unique_lock lock(mutex_);
        room_.wait(lock, [&] { return stop_ || claimed_ < wanted_ + ahead; });
        if (stop_) return;
        step = claimed_++;
      }
      Made made;
      try {
        made = make(step);
      } catch (...) {
        made.error = std::current_exception();
      }
      {
        const std::lock_guard lock(mutex_);
        ready_.emplace(step, std::move(made));
      }
      arrived_.notify_all();
    }
  }

  Made wait_for(int64_t step) {
    std::unique_lock lock(mutex_);
    wanted_ = step;
    room_.notify_all();
    arrived_.wait(lock, [&] { return ready_.count(step) != 0; });
    return std::move(ready_.extract(step).mapped());
  }

  // Counts in the order of the steps, so that the step at which it is too much does not depend on the
  // workers.
  void account(const std::vector<int64_t>& photos) {
    unreadable_.insert(photos.begin(), photos.end());
    const auto bad = static_cast<double>(unreadable_.size());
    if (bad <= 1 || bad <= options_.max_unreadable * static_cast<double>(dataset_.size())) return;
    detail::fail<DataError>("loader: ", unreadable_.size(), " of ", dataset_.size(),
                            " photos cannot be read, allowed is ", options_.max_unreadable,
                            " of them; the first is ", escaped(dataset_.photo_name(*unreadable_.begin())),
                            "; hint: remove or repair them");
  }

  void fetch(int64_t photo, uint8_t* out) {
    if (cache_.get(photo, out)) return;
    const Image image = load_prepared(dataset_, photo, preprocess_, margin_);
    std::memcpy(out, image.pixels.data(), image.pixels.size());
    cache_.put(photo, out);
  }

  bool try_fetch(int64_t photo, uint8_t* out, std::vector<int64_t>& unreadable) {
    if (options_.unreadable == Unreadable::Fail) {
      fetch(photo, out);
      return true;
    }
    try {
      fetch(photo, out);
      return true;
    } catch (const DataError&) {
    } catch (const IoError&) {
    }
    unreadable.push_back(photo);
    return false;
  }

  // Reads photo, or the first other one of its person that is neither in the batch nor unreadable. -1: none.
  int64_t fetch_or_replace(int64_t photo, std::set<int64_t>& taken, uint8_t* out,
                           std::vector<int64_t>& unreadable) {
    if (try_fetch(photo, out, unreadable)) return photo;
    for (const int64_t other : photos_of_[static_cast<size_t>(dataset_.identity(photo))])
      if (taken.insert(other).second && try_fetch(other, out, unreadable)) return other;
    return -1;
  }

  Made make(int64_t step) {
    const PKSampler::Draw draw = sampler_.draw(step);
    Made made;
    Batch& batch = made.batch;
    batch.step = step;
    const auto count = static_cast<int64_t>(draw.photos.size());
    const int64_t bytes = photo_bytes();
    Tensor photos = Tensor::empty({count, side_, side_, preprocess_.channels}, {DType::U8});
    auto* pixels = photos.mutable_data<uint8_t>();
    std::set<int64_t> taken(draw.photos.begin(), draw.photos.end());
    for (const int64_t photo : draw.photos) {
      const auto row = static_cast<int64_t>(batch.indices.size());
      const int64_t used = fetch_or_replace(photo, taken, pixels + row * bytes, made.unreadable);
      if (used >= 0) batch.indices.push_back(used);
    }
    const auto kept = static_cast<int64_t>(batch.indices.size());
    batch.skipped = static_cast<int64_t>(made.unreadable.size());
    batch.photos = kept == count ? photos : shortened(photos, kept);
    batch.table = draw_augment_table(augment_, options_.seed, step, kept, side_, preprocess_.size);
    count_people(batch);
    return made;
  }

  Tensor shortened(const Tensor& photos, int64_t rows) const {
    Tensor kept = Tensor::empty(photos.shape().with(0, rows), {DType::U8});
    std::memcpy(kept.mutable_data<uint8_t>(), photos.data<uint8_t>(), static_cast<size_t>(kept.bytes()));
    return kept;
  }

  void count_people(Batch& batch) const {
    batch.labels = Tensor::empty({static_cast<int64_t>(batch.indices.size())}, {DType::I64});
    auto* labels = batch.labels.mutable_data<int64_t>();
    std::map<int64_t, int> photos;
    for (size_t i = 0; i < batch.indices.size(); ++i)
      ++photos[labels[i] = dataset_.identity(batch.indices[i])];
    batch.identities = static_cast<int64_t>(photos.size());
    for (const auto& person : photos) batch.short_identities += person.second < sampler_.k();
  }

  const Dataset& dataset_;
  const PKSampler& sampler_;
  const Preprocess preprocess_;
  const AugmentOptions augment_;
  const LoaderOptions options_;
  const int margin_, side_;
  PhotoCache cache_;
  std::vector<std::vector<int64_t>> photos_of_;  // for replacing unreadable photos

  // Of the thread that calls next().
  int64_t next_step_;
  std::set<int64_t> unreadable_;
  std::exception_ptr failure_;

  std::mutex mutex_;  // guards the rest
  std::condition_variable room_, arrived_;
  int64_t claimed_;  // the next step that a worker takes
  int64_t wanted_;   // the step that next() is at
  bool stop_ = false;
  std::map<int64_t, Made> ready_;
  std::vector<std::thread> workers_;
};

Loader::Loader(const Dataset& dataset, const PKSampler& sampler, Preprocess preprocess,
               AugmentOptions augment, LoaderOptions options) {
  check_preprocess(preprocess);
  check_augment(augment);
  check(options.workers >= 0 && options.workers <= 256, "loader: ", options.workers,
        " workers, allowed is 0 .. 256");
  check(options.first_step >= 0, "loader: first step ", options.first_step, " is negative");
  check(options.max_unreadable >= 0 && options.max_unreadable <= 1, "loader: max_unreadable ",
        options.max_unreadable, " is not within [0, 1]");
  impl_ = std::make_unique<Impl>(dataset, sampler, preprocess, augment, options);
}

Loader::~Loader() = default;

Batch Loader::next() { return impl_->next(); }
int Loader::margin() const { return impl_->margin(); }
AugmentOutput Loader::output() const { return impl_->output(); }
int64_t Loader::cached_photos() const { return impl_->cached_photos(); }
std::vector<int64_t> Loader::unreadable() const { return impl_->unreadable(); }

Tensor load_photos(const Dataset& dataset, std::span<const int64_t> photos, const Preprocess& preprocess) {
  std::vector<Image> images(photos.size());
  std::vector<std::exception_ptr> errors(photos.size());
  parallel_for(static_cast<int64_t>(photos.size()), 4, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      try {
        images[i] = load_prepared(dataset, photos[i], preprocess, 0);
      } catch (...) {
        errors[i] = std::current_exception();
      }
    }
  });
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
  return normalize(images, preprocess);
}

}  // namespace tern
