#include "tern/data/pairs.h"

#include <gtest/gtest.h>

#include <string>

#include "tern/core/error.h"
#include "tests/data/fake_dataset.h"
#include "tests/support/tensors.h"

namespace tern {
namespace {

using test::expect_error;

// A file of `folds` folds of `count` pairs of each kind.
std::string pairs_text(int folds, int count, std::string_view end, bool single = false) {
  std::string text = single ? concat_text(count, end) : concat_text(folds, "\t", count, end);
  for (int f = 0; f < folds; ++f) {
    for (int i = 0; i < count; ++i) text += concat_text("P", f, "_", i, "\t1\t", i + 2, end);
    for (int i = 0; i < count; ++i)
      text += concat_text("P", f, "_", i, "\t1\tQ", f, "_", i, "\t", i + 1, end);
  }
  return text;
}

TEST(Pairs, AnyNumberOfFoldsWithAnyLineEnd) {
  for (const int folds : {1, 2, 8, 10})
    for (const std::string_view end : {"\n", "\r\n"})
      for (const std::string_view tail : {"", "\n", "\r\n\r\n", " \n\n"}) {
        const PairList list = parse_pairs(pairs_text(folds, 3, end) + std::string(tail), "pairs.txt");
        ASSERT_EQ(list.folds, folds);
        ASSERT_EQ(list.pairs.size(), static_cast<size_t>(folds) * 6);
        const PairList::Pair& same = list.pairs[1];
        EXPECT_EQ(same.name_a, "P0_1");
        EXPECT_EQ(same.name_b, "P0_1");
        EXPECT_EQ(same.index_a, 1);
        EXPECT_EQ(same.index_b, 3);
        EXPECT_TRUE(same.same);
        const PairList::Pair& last = list.pairs.back();
        EXPECT_EQ(last.name_b, concat_text("Q", folds - 1, "_2"));
        EXPECT_EQ(last.index_b, 3);
        EXPECT_FALSE(last.same);
        EXPECT_EQ(last.fold, folds - 1);
        EXPECT_EQ(list.names().size(), static_cast<size_t>(folds) * 6);
      }
}

TEST(Pairs, ASingleCountIsOneFold) {
  const PairList list = parse_pairs(pairs_text(1, 4, "\n", true), "dev.txt");
  EXPECT_EQ(list.folds, 1);
  EXPECT_EQ(list.pairs.size(), 8u);
}

TEST(Pairs, BlanksSeparateWhereThereIsNoTab) {
  const PairList list = parse_pairs("1\nAnn Lee\t1\t2\nAnn  1  Bob 2\n", "f");
  EXPECT_EQ(list.pairs[0].name_a, "Ann Lee");
  EXPECT_EQ(list.pairs[1].name_b, "Bob");
}

TEST(Pairs, ErrorsNameFileAndLine) {
  const auto expect_bad = [](std::string_view text, std::initializer_list<std::string_view> words) {
    expect_error<DataError>([&] { parse_pairs(text, "my\tpairs.txt"); }, words);
    expect_error<DataError>([&] { parse_pairs(text, "my\tpairs.txt"); }, {"my\\x09pairs.txt"});
  };
  expect_bad("", {"empty"});
  expect_bad("\n\n", {"empty"});
  expect_bad("hello\n", {":1:", "hello"});
  expect_bad("1\t1\t1\n", {":1:"});
  expect_bad("0\t3\n", {":1:"});
  expect_bad("-1\n", {":1:"});
  expect_bad("1\nA\t1\t2\n", {"2 lines", "1 follow"});
  expect_bad("1\nA\t1\t2\nA\t1\tB\t2\nC\t1\tD\t2\n", {"3 follow"});
  expect_bad("999999999\t999999999\nA\t1\t2\n", {"1 follow"});
  expect_bad("1\nA\t1\tB\t2\nA\t1\tB\t2\n", {":2:", "NAME<TAB>I<TAB>J", "4 fields"});
  expect_bad("1\nA\t1\t2\nA\t1\t2\n", {":3:", "3 fields"});
  expect_bad("1\nA\t1\t2\nA\tx\tB\t2\n", {":3:", "whole"});
  expect_bad("1\nA\t0\t2\nA\t1\tB\t2\n", {":2:", "count from 1"});
  expect_bad("1\nA\t1\t99999999999\nA\t1\tB\t2\n", {":2:"});
  expect_bad("1\nA\t2\t2\nA\t1\tB\t2\n", {":2:", "itself"});
  expect_bad("1\nA\t1\t2\nA\t1\tA\t2\n", {":3:", "one person"});
  expect_bad("1\n\t1\t2\nA\t1\tB\t2\n", {":2:"});
  expect_bad("1\nA\t1\t2\n\nA\t1\tB\t2\n", {"3 follow"});
}

// People named as in LFW and ORL.
class NamedDataset final : public Dataset {
 public:
  explicit NamedDataset(std::vector<std::string> photos) : photos_(std::move(photos)) {}
  int64_t size() const override { return std::ssize(photos_); }
  int64_t identity(int64_t photo) const override { return photo; }  // not needed to be dense here
  int64_t identities() const override { return size(); }
  std::string identity_name(int64_t i) const override { return photos_[i].substr(0, photos_[i].find('/')); }
  std::string photo_name(int64_t i) const override { return photos_[i]; }
  Image load(int64_t) const override { return {}; }

 private:
  std::vector<std::string> photos_;
};

TEST(Pairs, ResolveFindsPhotosByTheNamesOfLfwAndOrl) {
  const NamedDataset data(
      {"Al_B/Al_B_0001.jpg", "Al_B/Al_B_0012.png", "C/C_0003.JPG", "s1/1.pgm", "s1/10.pgm"});
  const PairList list = parse_pairs("2\nAl_B\t1\t12\ns1\t10\t1\nC\t3\tAl_B\t12\ns1\t1\tC\t3\n", "f");
  const ResolvedPairs pairs = resolve_pairs(list, data);
  ASSERT_EQ(pairs.pairs.size(), 4u);
  EXPECT_EQ(pairs.missing, 0);
  EXPECT_EQ(pairs.pairs[0].a, 0);
  EXPECT_EQ(pairs.pairs[0].b, 1);
  EXPECT_EQ(pairs.pairs[1].a, 4);
  EXPECT_EQ(pairs.pairs[1].b, 3);
  EXPECT_EQ(pairs.pairs[2].a, 2);
  EXPECT_TRUE(pairs.pairs[1].same);
  EXPECT_FALSE(pairs.pairs[3].same);
}

TEST(Pairs, AMissingPhotoIsAnErrorOrCounted) {
  const NamedDataset data({"A/A_0001.jpg", "A/A_0002.jpg"});
  const PairList list = parse_pairs("1\nA\t1\t2\nA\t1\tB\t1\n", "f");
  expect_error<DataError>([&] { resolve_pairs(list, data); }, {"photo 1 of B"});
  const ResolvedPairs pairs = resolve_pairs(list, data, true);
  EXPECT_EQ(pairs.pairs.size(), 1u);
  EXPECT_EQ(pairs.missing, 1);
}

TEST(Identities, OneALineOrEveryNameOfAPairsFile) {
  EXPECT_EQ(parse_identities("s1\r\n\ns2 \n s1\n", "f"), (std::set<std::string>{"s1", "s2"}));
  EXPECT_EQ(parse_identities("\xef\xbb\xbf"
                             "Ann Lee\n",
                             "f"),
            (std::set<std::string>{"Ann Lee"}));
  EXPECT_EQ(parse_identities("1\nA\t1\t2\nA\t1\tB\t2\n", "f"), (std::set<std::string>{"A", "B"}));
  EXPECT_EQ(parse_identities("2\t1\nA\t1\t2\nA\t1\tB\t2\nC\t1\t2\nC\t1\tD\t2\n", "f"),
            (std::set<std::string>{"A", "B", "C", "D"}));
  // Folders with numbers for names are a list, not a header.
  EXPECT_EQ(parse_identities("001\n002\n003\n", "f"), (std::set<std::string>{"001", "002", "003"}));
  EXPECT_EQ(parse_identities("7", "f"), (std::set<std::string>{"7"}));
  expect_error<DataError>([] { parse_identities(" \n", "list.txt"); }, {"list.txt", "names nobody"});
  expect_error<DataError>([] { parse_identities("1\t3\nA\t1\t2\n", "list.txt"); }, {"list.txt", "1 follow"});
}

}  // namespace
}  // namespace tern
