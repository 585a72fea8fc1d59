#include "tern/nn/safetensors.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <filesystem>
#include <functional>
#include <limits>

#include "tern/core/allocator.h"
#include "tern/core/crc32c.h"
#include "tern/core/fs.h"
#include "tests/support/fault_fs.h"
#include "tests/support/tensors.h"

namespace tern::nn {
namespace {

namespace stdfs = std::filesystem;

std::string with_length(const std::string& json, const std::string& data = "", int64_t length = -1) {
  const uint64_t n = length < 0 ? json.size() : static_cast<uint64_t>(length);
  std::string bytes(8, '\0');
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(n >> (8 * i));
  return bytes + json + data;
}

TensorMap sample() {
  TensorMap tensors;
  tensors["conv1.weight"] = test::random_tensor({3, 2, 2, 2}, DType::F32, 1);
  tensors["bn.num_batches_tracked"] = Tensor::from_data(std::vector<int64_t>{7}, Shape{});
  tensors["labels"] = Tensor::from_data(std::vector<uint8_t>{1, 2, 3}, {3});
  tensors["double"] = test::random_tensor({2, 2}, DType::F64, 2);
  tensors["empty"] = Tensor::empty({0, 5});
  tensors["ganz-klein-\xc3\xa4"] = test::random_tensor({1}, DType::F32, 3);
  return tensors;
}

void expect_same(const TensorMap& a, const TensorMap& b) {
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [name, tensor] : a) {
    ASSERT_TRUE(b.contains(name)) << name;
    EXPECT_EQ(tensor.shape(), b.at(name).shape());
    ASSERT_EQ(tensor.dtype(), b.at(name).dtype());
    EXPECT_EQ(std::memcmp(tensor.raw_data(), b.at(name).raw_data(), static_cast<size_t>(tensor.bytes())), 0)
        << name;
  }
}

std::string reason(const std::string& bytes, LoadTensorsOptions options = {}) {
  try {
    parse_safetensors(bytes, "hostile.safetensors", options);
  } catch (const IncompatibleError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Safetensors, RoundTrip) {
  const Metadata metadata{{"arch", "face_net"}, {"quote\"\\\n", "\xe2\x82\xac\t"}};
  const std::string bytes = safetensors_bytes(sample(), metadata);
  const SafetensorsFile file = parse_safetensors(bytes, "x");
  expect_same(sample(), file.tensors);
  EXPECT_EQ(file.metadata.at("arch"), "face_net");
  EXPECT_EQ(file.metadata.at("quote\"\\\n"), "\xe2\x82\xac\t");
  EXPECT_EQ(file.metadata.at("format"), "pt");
  EXPECT_EQ(file.metadata.size(), 3u) << "checksums are not handed out";
  EXPECT_EQ(safetensors_bytes(file.tensors, file.metadata), bytes) << "the same content gives the same bytes";
  expect_same({}, parse_safetensors(safetensors_bytes({}), "x").tensors);
}

TEST(Safetensors, LayoutIsTheFormats) {
  const std::string bytes = safetensors_bytes(sample());
  const std::string path =
      (stdfs::temp_directory_path() / ("tern_layout_" + std::to_string(::getpid()))).string();
  write_file_atomically(path, bytes);
  const SafetensorsHeader header = read_safetensors_header(path);
  stdfs::remove(path);
  EXPECT_EQ(static_cast<uint8_t>(bytes[0]) % 8, 0) << "padded to a multiple of 8";
  EXPECT_EQ(bytes[8], '{');
  std::vector<std::string> order;
  for (const auto& entry : header.entries) order.push_back(entry.name);
  EXPECT_EQ(order, (std::vector<std::string>{"bn.num_batches_tracked", "double", "conv1.weight", "empty",
                                             "ganz-klein-\xc3\xa4", "labels"}));
  EXPECT_TRUE(header.checksummed);
  EXPECT_EQ(header.entries[2].dtype, "F32");
  EXPECT_EQ(header.entries[2].shape, (std::vector<int64_t>{3, 2, 2, 2}));
  const auto& entry = header.entries[2];
  const std::string data = bytes.substr(bytes.size() - static_cast<size_t>(header.entries.back().end));
  EXPECT_EQ(header.metadata.at("tern.crc32c.conv1.weight"),
            to_hex(crc32c(data.substr(entry.begin, entry.end - entry.begin))));
}

// As Python's writer leaves it: no checksums, unaligned data, blanks around the object, tensors in any order.
TEST(Safetensors, AcceptsWhatTheFormatAllows) {
  const std::string one("\x00\x00\x80\x3f", 4);
  const std::string entry_a = R"("a":{"dtype":"F32","shape":[1],"data_offsets":[1,5]})";
  const std::string entry_b = R"("b":{"data_offsets":[0,1],"shape":[],"dtype":"U8"})";
  for (const std::string& json :
       {"{" + entry_a + "," + entry_b + "}", " \n{" + entry_b + "," + entry_a + "}  ",
        "{\"__metadata__\":null," + entry_a + "," + entry_b + "}",
        "{\"__metadata__\":{\"k\":\"v\"}," + entry_a + "," + entry_b + "}"}) {
    const SafetensorsFile file = parse_safetensors(with_length(json, "\x07" + one), "x");
    EXPECT_EQ(file.tensors.at("a").item(), 1.0);
    EXPECT_EQ(file.tensors.at("b").item(), 7.0);
  }
  EXPECT_EQ(reason(with_length("{}")), "accepted");
  const std::string nan("\x00\x00\xc0\x7f", 4);
  const std::string json = R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  EXPECT_EQ(reason(with_length(json, nan)), "accepted");
  EXPECT_NE(reason(with_length(json, nan), {.check_finite = true}).find("not finite"), std::string::npos);
  EXPECT_EQ(reason(with_length(json, one), {.check_finite = true}), "accepted");
}

struct Hostile {
  std::string bytes;
  const char* reason;
};

std::string entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return "{\"x\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}}";
}

std::string many_tensors(int n) {
  std::string json = "{";
  for (int i = 0; i < n; ++i) {
    json += (i ? ",\"" : "\"") + std::to_string(i) + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  }
  return json + "}";
}

std::vector<Hostile> hostile_set() {
  const std::string four(4, '\0');
  const std::string x = R"("x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
  const auto pair = [](const std::string& first, const std::string& second) {
    return R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + first +
           R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + second + "}}";
  };
  return {
      {"", "a header length takes 8"},
      {"1234567", "a header length takes 8"},
      {with_length("{}", "", 100'000'001), "a header of 100000001 bytes"},
      {with_length("{}", "", INT64_MAX), "a header of"},
      {std::string(8, '\xff') + "{}", "a header of 18446744073709551615"},
      {with_length("{}", "", 3), "truncated: a header of 3 bytes in a file of 10"},
      {with_length(""), "one JSON object"},
      {with_length("        "), "one JSON object"},
      {with_length("[]"), "one JSON object"},
      {with_length("\"x\""), "one JSON object"},
      {with_length("{"), "not one valid JSON object"},
      {with_length("{}}"), "not one valid JSON object"},
      {with_length("{}{}"), "not one valid JSON object"},
      {with_length("{},"), "not one valid JSON object"},
      {with_length("{\"a\":}"), "not one valid JSON object"},
      {with_length("{'a':1}"), "not one valid JSON object"},
      {with_length("{/**/}"), "not one valid JSON object"},
      {with_length("\xef\xbb\xbf{}"), "one JSON object"},
      {with_length(std::string("{}\0{\"hidden\":1}", 15)), "zero byte"},
      {with_length("{\"\xff\":1}"), "not valid UTF-8"},
      {with_length("{\"\xc0\xaf\":1}"), "not valid UTF-8"},
      {with_length("{\"\xed\xa0\x80\":1}"), "not valid UTF-8"},
      {with_length("{" + x + "," + x + "}", four), "duplicate name"},
      {with_length("{\"__metadata__\":{},\"__metadata__\":{}}"), "duplicate name"},
      {with_length(R"({"__metadata__":{"a":"1","a":"2"}})"), "duplicate metadata key"},
      {with_length(R"({"__metadata__":{"a":1}})"), "__metadata__ must map text to text"},
      {with_length(R"({"__metadata__":{"a":null}})"), "__metadata__ must map text to text"},
      {with_length(R"({"__metadata__":{"a":{}}})"), "__metadata__ must map text to text"},
      {with_length(R"({"__metadata__":{"a":["b"]}})"), "__metadata__ must map text to text"},
      {with_length(R"({"__metadata__":"text"})"), "must be an object"},
      {with_length(R"({"__metadata__":[]})"), "must be an object"},
      {with_length(R"({"x":null})"), "must be an object"},
      {with_length(R"({"x":1})"), "must be an object"},
      {with_length(R"({"x":[]})"), "must be an object"},
      {with_length(R"({"x":{}})"), "is missing"},
      {with_length(entry("F99", "[1]", "[0,4]"), four), "unknown dtype"},
      {with_length(entry("f32", "[1]", "[0,4]"), four), "unknown dtype"},
      {with_length(entry("F16", "[2]", "[0,4]"), four), "which tern does not have"},
      {with_length(R"({"x":{"dtype":"F32","shape":[1]}})", four), "is missing"},
      {with_length(R"({"x":{"dtype":"F32","data_offsets":[0,4]}})", four), "is missing"},
      {with_length(R"({"x":{"shape":[1],"data_offsets":[0,4]}})", four), "is missing"},
      {with_length(R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"more":1}})", four),
       "unknown field"},
      {with_length(R"({"x":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})", four),
       "duplicate field"},
      {with_length(R"({"x":{"dtype":1,"shape":[1],"data_offsets":[0,4]}})", four),
       "the field dtype is a number"},
      {with_length(R"({"x":{"dtype":{},"shape":[1],"data_offsets":[0,4]}})", four),
       "the field dtype is an object"},
      {with_length(entry("F32", "1", "[0,4]"), four), "the field shape is a number"},
      {with_length(entry("F32", "[-1]", "[0,4]"), four), "a negative number"},
      {with_length(entry("F32", "[1.0]", "[0,4]"), four), "a number that is no size"},
      {with_length(entry("F32", "[1e0]", "[0,4]"), four), "a number that is no size"},
      {with_length(entry("F32", "[\"1\"]", "[0,4]"), four), "a string"},
      {with_length(entry("F32", "[null]", "[0,4]"), four), "null"},
      {with_length(entry("F32", "[true]", "[0,4]"), four), "a boolean"},
      {with_length(entry("F32", "[[1]]", "[0,4]"), four), "an array"},
      {with_length(entry("F32", "[281474976710656]", "[0,4]"), four), "dimension too large"},
      {with_length(entry("F32", "[18446744073709551617]", "[0,4]"), four), "a number that is no size"},
      {with_length(entry("F32", "[4294967296,4294967296,4294967296]", "[0,4]"), four), "the size overflows"},
      {with_length(entry("F64", "[140737488355328,16384]", "[0,0]")), "the size overflows"},
      {with_length(entry("F32", "[281474976710655,281474976710655,0]", "[0,0]")), "the size overflows"},
      {with_length(entry("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]"), "x"), "more than 8 dimensions"},
      {with_length(entry("F4", "[3]", "[0,1]"), "x"), "not a whole number of bytes"},
      {with_length(entry("F32", "[1]", "4"), four), "the field data_offsets is a number"},
      {with_length(entry("F32", "[1]", "[0]"), four), "data_offsets must be two numbers"},
      {with_length(entry("F32", "[1]", "[]"), four), "data_offsets must be two numbers"},
      {with_length(entry("F32", "[1]", "[0,4,4]"), four), "data_offsets must be two numbers"},
      {with_length(entry("F32", "[1]", "[-4,0]"), four), "two unsigned integers"},
      {with_length(entry("F32", "[1]", "[0,4.0]"), four), "two unsigned integers"},
      {with_length(entry("F32", "[1]", "[0,9223372036854775808]"), four), "data offset too large"},
      {with_length(entry("F32", "[1]", "[4,0]"), four), "reversed"},
      {with_length(entry("F32", "[1]", "[0,3]"), "xyz"), "dtype and shape need 4"},
      {with_length(entry("F32", "[2]", "[0,4]"), four), "dtype and shape need 8"},
      {with_length(entry("F32", "[1]", "[4,8]"), four + four), "a hole"},
      {with_length(pair("[0,4]", "[5,9]"), std::string(9, 'x')), "a hole"},
      {with_length(pair("[0,4]", "[0,4]"), four), "an overlap"},
      {with_length(pair("[0,4]", "[2,6]"), std::string(6, 'x')), "an overlap"},
      {with_length("{" + x + "}", "abc"), "truncated: the tensors need 4 bytes, there are 3"},
      {with_length("{" + x + "}", four + "PK\x03\x04polyglot"), "bytes follow the last tensor"},
      {with_length("{}", "tail"), "bytes follow the last tensor"},
      {with_length(R"({"a\u001b[2J":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})"),
       "control characters"},
      {with_length("{\"" + std::string(513, 'n') +
                   "\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}"),
       "longer than 512 bytes"},
      {with_length(R"({"":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})"), "is empty"},
      {with_length(many_tensors(100'001)), "more than 100000 tensors"},
      {with_length(std::string(500'000, '[')), "one JSON object"},
      {with_length("{\"a\":" + std::string(500'000, '[')), "must be an object, not an array"},
      {with_length(R"({"x":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}})", "\x02"),
       "other than 0 and 1"},
      {with_length(R"({"__metadata__":{"tern.format":"1"}})"), "checksum of the header is wrong"},
      {with_length(R"({"__metadata__":{"tern.header_crc32c":"00000000","tern.format":"1"}})"),
       "checksum of the header is wrong"},
  };
}

TEST(Safetensors, HostileSet) {
  const auto set = hostile_set();
  ASSERT_GE(set.size(), 60u);
  for (const Hostile& file : set) {
    const int64_t before = memory_stats().peak_in_use;
    const std::string text = reason(file.bytes);
    EXPECT_NE(text.find(file.reason), std::string::npos) << file.reason << " expected, got: " << text;
    EXPECT_NE(text.find("hostile.safetensors: "), std::string::npos) << text;
    EXPECT_LT(text.size(), 1000u);
    EXPECT_LE(memory_stats().peak_in_use, std::max<int64_t>(before, 4096))
        << "allocated before the header was sound";
  }
}

TEST(Safetensors, TruncatedAtEveryByte) {
  const std::string bytes = safetensors_bytes(sample(), {{"arch", "x"}});
  for (size_t n = 0; n < bytes.size(); ++n) EXPECT_NE(reason(bytes.substr(0, n)), "accepted") << n;
  EXPECT_NE(reason(bytes + "x"), "accepted");
  EXPECT_EQ(reason(bytes), "accepted");
}

TEST(Safetensors, EveryFlippedBitIsFound) {
  TensorMap tensors;
  tensors["w"] = test::random_tensor({7, 3}, DType::F32, 1);
  tensors["n"] = Tensor::from_data(std::vector<int64_t>{7}, Shape{});
  tensors["u"] = Tensor::from_data(std::vector<uint8_t>{1, 2, 3}, {3});
  std::string bytes = safetensors_bytes(tensors, {{"arch", "x"}});
  for (size_t byte = 0; byte < bytes.size(); ++byte) {
    for (int bit = 0; bit < 8; ++bit) {
      bytes[byte] = static_cast<char>(bytes[byte] ^ (1 << bit));
      EXPECT_NE(reason(bytes), "accepted") << "byte " << byte << " bit " << bit;
      bytes[byte] = static_cast<char>(bytes[byte] ^ (1 << bit));
    }
  }
  EXPECT_EQ(reason(bytes), "accepted");
}

TEST(Safetensors, WriterRefusesWhatItCouldNotRead) {
  const Tensor t = Tensor::from_data(std::vector<float>{1}, {1});
  for (const std::string& name : {std::string(), std::string("a\nb"), std::string(513, 'n'),
                                  std::string("__metadata__"), std::string("\xff")}) {
    EXPECT_THROW(safetensors_bytes({{name, t}}), UsageError) << name;
  }
  EXPECT_THROW(safetensors_bytes({{"x", Tensor()}}), UsageError);
  EXPECT_THROW(safetensors_bytes({}, {{"tern.crc32c.x", "0"}}), UsageError);
  EXPECT_THROW(safetensors_bytes({}, {{"x", "\xff"}}), UsageError);
}

TEST(Safetensors, HashNamesTheWeights) {
  TensorMap tensors = sample();
  const std::string hash = tensors_hash(tensors);
  EXPECT_EQ(hash.size(), 64u);
  EXPECT_EQ(hash, tensors_hash(parse_safetensors(safetensors_bytes(tensors), "x").tensors));
  tensors["labels"].mutable_data<uint8_t>()[1] ^= 1;
  EXPECT_NE(hash, tensors_hash(tensors));
}

class SafetensorsFiles : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = stdfs::temp_directory_path() / ("tern_safetensors_" + std::to_string(::getpid()) + "_" +
                                              testing::UnitTest::GetInstance()->current_test_info()->name());
    stdfs::create_directories(folder_);
    path_ = (folder_ / "m.safetensors").string();
  }
  void TearDown() override { stdfs::remove_all(folder_); }
  stdfs::path folder_;
  std::string path_;
};

TEST_F(SafetensorsFiles, SaveIsAtomicUnderEveryFault) {
  const TensorMap old_tensors{{"w", Tensor::from_data(std::vector<float>{1, 2}, {2})}};
  test::FailingFs counting;
  {
    UseFs use(counting);
    save_safetensors(path_, sample());
  }
  for (int error : {ENOSPC, EIO}) {
    for (int nth = 1; nth < counting.calls; ++nth) {
      save_safetensors(path_, old_tensors);
      test::FailingFs failing;
      failing.fail("", nth, error);
      {
        UseFs use(failing);
        EXPECT_THROW(save_safetensors(path_, sample()), IoError);
      }
      EXPECT_EQ(failing.injected, 1);
      const bool renamed = nth == counting.calls - 1;  // the flush of the folder comes after the rename
      expect_same(renamed ? sample() : old_tensors, load_safetensors(path_).tensors);
      EXPECT_EQ(std::distance(stdfs::directory_iterator(folder_), {}), 1) << "a temporary was left behind";
    }
  }
}

TEST_F(SafetensorsFiles, ShortWritesAndReadsGiveTheSameBytes) {
  test::FailingFs noisy;
  noisy.make_short(3);
  UseFs use(noisy);
  save_safetensors(path_, sample());
  EXPECT_EQ(read_file(path_), safetensors_bytes(sample()));
  expect_same(sample(), load_safetensors(path_).tensors);
  EXPECT_GT(noisy.injected, 10);
}

TEST_F(SafetensorsFiles, ErrorsOfTheSystemAreIoErrors) {
  EXPECT_THROW(load_safetensors(path_), IoError);
  EXPECT_THROW(load_safetensors(folder_.string()), IoError);
  save_safetensors(path_, sample());
  test::FailingFs failing;
  failing.fail("read", 2, EIO);
  UseFs use(failing);
  EXPECT_THROW(load_safetensors(path_), IoError);
}

// The file shrinks after its size was read: an error, no crash.
TEST_F(SafetensorsFiles, ChangedWhileItIsRead) {
  struct Shrinking final : test::FailingFs {
    int64_t size(int fd) override { return FailingFs::size(fd) + 8; }
  } shrinking;
  const std::string json = R"({"x":{"dtype":"U8","shape":[16],"data_offsets":[0,16]}})";
  write_file_atomically(path_, with_length(json, std::string(8, 'x')));
  UseFs use(shrinking);
  EXPECT_THROW(load_safetensors(path_), IncompatibleError);
}

// The process is killed at the nth call of a save.
class KillingFs final : public test::FailingFs {
 public:
  explicit KillingFs(int nth) : nth_(nth) {}
  int create_new(const std::string& path) override { return step(), FailingFs::create_new(path); }
  int open_folder(const std::string& path) override { return step(), FailingFs::open_folder(path); }
  int64_t write(int fd, const void* data, size_t bytes) override {
    step();
    return FailingFs::write(fd, data, std::min<size_t>(bytes, 512));  // several calls for one buffer
  }
  int sync(int fd) override { return step(), FailingFs::sync(fd); }
  int close(int fd) override { return step(), FailingFs::close(fd); }
  int rename(const std::string& from, const std::string& to) override {
    return step(), FailingFs::rename(from, to);
  }

 private:
  void step() {
    if (--nth_ == 0) ::raise(SIGKILL);
  }
  int nth_;
};

// Runs body in a child process and returns how it ended, as waitpid says.
int in_child(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return status;
}

TEST_F(SafetensorsFiles, KilledAtEveryCallOldOrNewLoads) {
  const TensorMap old_tensors{{"w", Tensor::from_data(std::vector<float>{1, 2}, {2})}};
  const TensorMap new_tensors = sample();
  int killed = 0;
  for (int nth = 1;; ++nth) {
    save_safetensors(path_, old_tensors);
    const int status = in_child([&] {
      KillingFs killing(nth);
      UseFs use(killing);
      save_safetensors(path_, new_tensors);
      return 0;
    });
    const size_t found = load_safetensors(path_).tensors.size();
    EXPECT_TRUE(found == old_tensors.size() || found == new_tensors.size());
    for (const auto& file : stdfs::directory_iterator(folder_)) {
      const std::string name = file.path().filename();
      EXPECT_TRUE(name == "m.safetensors" || is_temporary_name(name)) << name;
    }
    if (WIFEXITED(status)) break;
    EXPECT_EQ(WTERMSIG(status), SIGKILL);
    ++killed;
  }
  EXPECT_GE(killed, 8);
}

// The process may not write files beyond a size (EFBIG): an IoError, the old file intact.
TEST_F(SafetensorsFiles, FileSizeLimit) {
  const TensorMap old_tensors{{"w", Tensor::from_data(std::vector<float>{1, 2}, {2})}};
  save_safetensors(path_, old_tensors);
  const TensorMap large{{"w", Tensor::from_data(std::vector<float>(50000, 1.0f), {50000})}};
  const int status = in_child([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{100000, 100000};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 2;
    try {
      save_safetensors(path_, large);
    } catch (const IoError& error) {
      return std::string_view(error.what()).find("large") != std::string_view::npos ? 0 : 3;
    }
    return 1;
  });
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  expect_same(old_tensors, load_safetensors(path_).tensors);
  EXPECT_EQ(std::distance(stdfs::directory_iterator(folder_), {}), 1) << "a temporary was left behind";
}

TEST(SafetensorsCrash, OldOrNewAfterAPowerCut) {
  const TensorMap old_tensors{{"w", Tensor::from_data(std::vector<float>{1, 2}, {2})}};
  for (int at = 1; at < 40; ++at) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
      test::CrashFs crash;
      UseFs use(crash);
      save_safetensors("d/m", old_tensors);
      crash.crash_at = crash.calls + at;
      bool acknowledged = true;
      try {
        save_safetensors("d/m", sample());
      } catch (const IoError&) {
        acknowledged = false;
      }
      crash.recover(seed);
      const TensorMap found = load_safetensors("d/m").tensors;
      EXPECT_TRUE(found.size() == sample().size() || (found.size() == 1 && !acknowledged));
    }
  }
}

}  // namespace
}  // namespace tern::nn
