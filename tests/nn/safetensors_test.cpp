#include "tern/nn/safetensors.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>

#include "tern/core/allocator.h"
#include "tern/core/crc32c.h"
#include "tern/core/fs.h"
#include "tests/nn/safetensors_support.h"

namespace tern::nn {
namespace {

namespace stdfs = std::filesystem;

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

}  // namespace
}  // namespace tern::nn
