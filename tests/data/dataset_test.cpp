#include "tern/data/dataset.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "tern/core/error.h"
#include "tern/data/split.h"
#include "tests/data/fake_dataset.h"
#include "tests/data/image_files.h"
#include "tests/support/tensors.h"

namespace tern {
namespace {

namespace fs = std::filesystem;
using namespace test;

// A folder of its own for each test, removed at the end.
class Tree {
 public:
  Tree() {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    root_ = fs::path(testing::TempDir()) / concat_text("tern_", info->test_suite_name(), "_", info->name());
    fs::remove_all(root_);
    fs::create_directories(root_);
  }
  ~Tree() { fs::remove_all(root_); }
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;

  std::string root() const { return root_; }
  fs::path operator/(std::string_view name) const { return root_ / name; }
  void write(std::string_view name, const Bytes& bytes) const {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
  void photo(std::string_view name, uint32_t seed) const {
    write(name, write_pgm(noise_image(8, 8, 1, seed)));
  }

 private:
  fs::path root_;
};

TEST(Folder, ListsPeopleAndPhotosInByteOrder) {
  const Tree tree;
  uint32_t seed = 0;
  for (const auto* name :
       {"s10/1.pgm", "s2/2.pgm", "s2/10.PGM", "Zed/a.JPG", "Zed/b.jpeg", "\xc3\xa9/x.png", "a b/y.PPM"})
    tree.photo(name, ++seed);
  const FolderDataset data(tree.root() + "/");
  std::vector<std::string> people, photos;
  for (int64_t i = 0; i < data.identities(); ++i) people.push_back(data.identity_name(i));
  for (int64_t i = 0; i < data.size(); ++i) photos.push_back(data.photo_name(i));
  EXPECT_EQ(people, (std::vector<std::string>{"Zed", "a b", "s10", "s2", "\xc3\xa9"}));
  EXPECT_EQ(photos, (std::vector<std::string>{"Zed/a.JPG", "Zed/b.jpeg", "a b/y.PPM", "s10/1.pgm",
                                              "s2/10.PGM", "s2/2.pgm", "\xc3\xa9/x.png"}));
  EXPECT_EQ(data.identity(0), 0);
  EXPECT_EQ(data.identity(5), 3);
  EXPECT_EQ(data.load(4), noise_image(8, 8, 1, 3));
  EXPECT_EQ(data.path(3), tree.root() + "/s10/1.pgm");
  EXPECT_THROW(data.identity(7), UsageError);
  EXPECT_THROW(data.identity_name(-1), UsageError);
}

TEST(Folder, PassesOverWhatIsNoPhoto) {
  const Tree tree;
  tree.photo("a/1.pgm", 1);
  tree.photo("b/1.pgm", 2);
  tree.photo("b/.hidden.pgm", 3);
  tree.photo(".hidden/1.pgm", 4);
  tree.write("a/notes.txt", {'x'});
  tree.write("a/jpg", {'x'});
  tree.write("readme.jpg", {'x'});
  tree.photo("a/deep/1.pgm", 5);
  fs::create_directories(tree / "empty");
  fs::create_directories(tree / "a/folder.jpg");
  fs::create_symlink("nowhere", tree / "a/dangling.jpg");
  fs::create_symlink("loop.jpg", tree / "a/loop.jpg");
  fs::create_symlink("../b/1.pgm", tree / "a/linked.pgm");
  fs::create_directory_symlink("..", tree / "a/up");
  ASSERT_EQ(::mkfifo((tree / "a/fifo.jpg").c_str(), 0600), 0);
  const FolderDataset data(tree.root());
  EXPECT_EQ(data.identities(), 2);
  EXPECT_EQ(data.size(), 3);  // with the link to a regular file
  EXPECT_EQ(data.photo_name(1), "a/linked.pgm");
  EXPECT_EQ(data.empty_identities(), 1);
  EXPECT_EQ(data.passed_over(), 9);  // all but the hidden ones and the empty folder
}

TEST(Folder, IncludesAndExcludesPeople) {
  const Tree tree;
  for (const auto* name : {"a/1.pgm", "b/1.pgm", "c/1.pgm", "d/1.pgm"}) tree.photo(name, 1);
  const FolderDataset some(tree.root(), {.include = {"a", "c", "nobody"}});
  EXPECT_EQ(some.identities(), 2);
  EXPECT_EQ(some.identity_name(1), "c");
  EXPECT_EQ(some.missing(), (std::vector<std::string>{"nobody"}));
  const FolderDataset others(tree.root(), {.exclude = {"a", "c"}});
  EXPECT_EQ(others.identity_name(0), "b");
  EXPECT_EQ(others.identities(), 2);
}

TEST(Folder, ErrorsSayWhatIsAccepted) {
  const Tree tree;
  const auto expect_refused = [](const std::string& path, std::initializer_list<std::string_view> words) {
    expect_error<DataError>([&] { FolderDataset data(path); }, words);
    expect_error<DataError>([&] { FolderDataset data(path); },
                            {"ROOT/PERSON/PHOTO", ".jpg .jpeg .png .pgm or .ppm"});
  };
  expect_refused(tree.root() + "/miss\ning", {"miss\\x0aing", "No such file"});
  expect_refused(tree.root(), {"0 people with 0 photos in 0 folders"});
  tree.photo("one/1.pgm", 1);
  tree.photo("one/2.pgm", 2);
  expect_refused(tree.root(), {"1 person with 2 photos", "at least 2"});
  expect_refused(tree.root() + "/one/1.pgm", {"not a folder"});
  EXPECT_NO_THROW(FolderDataset(tree.root(), {.min_identities = 1}));
}

TEST(Folder, ADamagedPhotoIsNamedWhenItIsLoaded) {
  const Tree tree;
  tree.photo("a/1.pgm", 1);
  tree.write("b/1.jpg", {'t', 'e', 'x', 't'});
  const FolderDataset data(tree.root());
  EXPECT_NO_THROW(data.load(0));
  expect_error<DataError>([&] { data.load(1); }, {"b/1.jpg", "not a photo"});
  fs::remove(tree / "a/1.pgm");
  expect_error<IoError>([&] { data.load(0); }, {"a/1.pgm"});
}

TEST(Subset, RenumbersPeopleAndKeepsTheirPhotos) {
  const FakeDataset base({2, 3, 1, 4});
  const std::vector<int64_t> chosen = {3, 1};
  const SubsetDataset subset(base, chosen);
  EXPECT_EQ(subset.identities(), 2);
  EXPECT_EQ(subset.size(), 7);
  EXPECT_EQ(subset.identity_name(0), "p3");
  for (int64_t i = 0; i < subset.size(); ++i) {
    EXPECT_EQ(subset.identity(i), i < 4 ? 0 : 1);
    EXPECT_EQ(base.identity(subset.base_photo(i)), chosen[subset.identity(i)]);
    EXPECT_EQ(subset.photo_name(i), base.photo_name(subset.base_photo(i)));
    EXPECT_EQ(subset.load(i), base.load(subset.base_photo(i)));
  }
  EXPECT_THROW(SubsetDataset(base, std::vector<int64_t>{1, 1}), UsageError);
  EXPECT_THROW(SubsetDataset(base, std::vector<int64_t>{4}), UsageError);
}

TEST(Split, PeopleAreOnOneSideOnly) {
  for (const uint64_t seed : {1, 2, 3}) {
    const IdentitySplit split = split_identities(50, 0.2, seed);
    EXPECT_EQ(split.held_out.size(), 10u);
    std::set<int64_t> all(split.train.begin(), split.train.end());
    all.insert(split.held_out.begin(), split.held_out.end());
    EXPECT_EQ(split.train.size(), 40u);
    EXPECT_EQ(all.size(), 50u);
    EXPECT_TRUE(std::is_sorted(split.train.begin(), split.train.end()));
    EXPECT_EQ(split_identities(50, 0.2, seed).held_out, split.held_out);
  }
  EXPECT_NE(split_identities(50, 0.2, 1).held_out, split_identities(50, 0.2, 2).held_out);
}

TEST(Split, KeepsTwoPeopleOnEachSide) {
  EXPECT_EQ(split_identities(5, 0.01, 1).held_out.size(), 2u);
  EXPECT_EQ(split_identities(5, 0.99, 1).train.size(), 2u);
  EXPECT_TRUE(split_identities(3, 0, 1).held_out.empty());
  expect_error<DataError>([] { split_identities(3, 0.5, 1); }, {"3 people"});
  EXPECT_THROW(split_identities(10, 1, 1), UsageError);
  EXPECT_THROW(split_identities(10, -0.1, 1), UsageError);
}

TEST(Leaks, SharedPeopleAndCopiedPhotosAreFound) {
  const Tree tree;
  tree.photo("train/a/1.pgm", 1);
  tree.photo("train/b/1.pgm", 2);
  tree.photo("test/b/1.pgm", 3);
  tree.photo("test/c/copy.pgm", 1);
  tree.photo("test/d/1.pgm", 4);
  const FolderDataset train(tree.root() + "/train"), held(tree.root() + "/test");
  const auto leaks = find_leaks(train, held);
  ASSERT_EQ(leaks.size(), 2u);
  EXPECT_EQ(leaks[0].kind, Leak::Kind::Identity);
  EXPECT_EQ(leaks[0].a, "b");
  EXPECT_EQ(leaks[1].kind, Leak::Kind::Photo);
  EXPECT_EQ(leaks[1].a, "a/1.pgm");
  EXPECT_EQ(leaks[1].b, "c/copy.pgm");
  EXPECT_EQ(find_leaks(train, held, false).size(), 1u);
  expect_error<DataError>([&] { check_disjoint(train, held); },
                          {"share 2", "person b", "a/1.pgm = c/copy.pgm"});
  const FolderDataset clean(tree.root() + "/test", {.include = {"d"}, .min_identities = 1});
  EXPECT_NO_THROW(check_disjoint(train, clean));
}

TEST(Hash, SeesEveryByteAndTheLength) {
  Bytes bytes(37, 0);
  const uint64_t zero = hash_bytes(bytes);
  std::set<uint64_t> seen = {zero};
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = 1;
    EXPECT_TRUE(seen.insert(hash_bytes(bytes)).second) << i;
    bytes[i] = 0;
  }
  for (size_t n = 0; n < bytes.size(); ++n)
    EXPECT_TRUE(seen.insert(hash_bytes(std::span(bytes).first(n))).second) << n;
  EXPECT_EQ(hash_bytes(bytes), zero);
}

}  // namespace
}  // namespace tern
