#pragma once
// Photos of people: which photos there are and who is on them.
//
// Identities are numbered 0 .. identities() - 1, photos 0 .. size() - 1. Both orders are byte-wise by name,
// whatever the locale, so that a seed means the same batches on every machine.

#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "tern/data/image.h"

namespace tern {

class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual int64_t size() const = 0;                   // photos
  virtual int64_t identity(int64_t photo) const = 0;  // who is on it
  virtual int64_t identities() const = 0;             // people
  virtual std::string identity_name(int64_t identity) const = 0;
  virtual std::string photo_name(int64_t photo) const = 0;  // unique, "s1/3.pgm"; for messages and pairs
  // The decoded photo. Safe to call from many threads at once.
  virtual Image load(int64_t photo) const = 0;
  // The same, at reduced scale where the file allows it; the shorter side stays >= target_side.
  virtual Image load_reduced(int64_t photo, int target_side) const;
  // A 64-bit hash of the photo's content; equal for byte-identical photos. For files, of the file.
  virtual uint64_t content_hash(int64_t photo) const;
};

// The identity of every photo, and the photos of every identity.
std::vector<int64_t> identity_of_photos(const Dataset& dataset);
std::vector<std::vector<int64_t>> photos_of_identities(const Dataset& dataset);

uint64_t hash_bytes(std::span<const uint8_t> bytes);

struct FolderOptions {
  std::set<std::string> include;  // only these identities; empty: all
  std::set<std::string> exclude;  // not these
  int64_t min_identities = 2;     // fewer is a DataError
  DecodeOptions decode = {};
};

// root/IDENTITY/PHOTO.{jpg,jpeg,png,pgm,ppm}, extensions in any case. One level of folders; hidden files and
// folders, files of other types and everything that is not a regular file (or a link to one) are passed over
// and counted. Folders without a photo are not identities. The scan opens no photo.
class FolderDataset final : public Dataset {
 public:
  // Throws DataError if root is missing, is no folder, or holds fewer than min_identities people with photos
  // after include and exclude; the text lists what is accepted.
  explicit FolderDataset(std::string root, FolderOptions options = {});

  int64_t size() const override { return static_cast<int64_t>(photos_.size()); }
  int64_t identity(int64_t photo) const override;
  int64_t identities() const override { return static_cast<int64_t>(names_.size()); }
  std::string identity_name(int64_t identity) const override;
  std::string photo_name(int64_t photo) const override;
  Image load(int64_t photo) const override { return load_reduced(photo, 0); }
  Image load_reduced(int64_t photo, int target_side) const override;
  uint64_t content_hash(int64_t photo) const override;

  const std::string& root() const { return root_; }
  std::string path(int64_t photo) const;
  int64_t passed_over() const { return passed_over_; }                  // files that are no photos
  int64_t empty_identities() const { return empty_identities_; }        // folders without a photo
  const std::vector<std::string>& missing() const { return missing_; }  // of include, not in the folder

 private:
  struct Photo {
    int64_t identity;
    std::string file;
  };
  void scan_identity(const std::string& name);

  std::string root_;
  FolderOptions options_;
  std::vector<std::string> names_;
  std::vector<Photo> photos_;
  std::vector<std::string> missing_;
  int64_t passed_over_ = 0;
  int64_t empty_identities_ = 0;
};

// Some identities of another data set, renumbered 0 .. n - 1 in the order given. Refers to the other, which
// must outlive it.
class SubsetDataset final : public Dataset {
 public:
  // Throws UsageError if an identity is out of range or given twice.
  SubsetDataset(const Dataset& base, std::span<const int64_t> identities);

  int64_t size() const override { return static_cast<int64_t>(photos_.size()); }
  int64_t identity(int64_t photo) const override;
  int64_t identities() const override { return static_cast<int64_t>(identities_.size()); }
  std::string identity_name(int64_t identity) const override;
  std::string photo_name(int64_t photo) const override { return base_.photo_name(base_photo(photo)); }
  Image load(int64_t photo) const override { return base_.load(base_photo(photo)); }
  Image load_reduced(int64_t photo, int target_side) const override {
    return base_.load_reduced(base_photo(photo), target_side);
  }
  uint64_t content_hash(int64_t photo) const override { return base_.content_hash(base_photo(photo)); }

  int64_t base_photo(int64_t photo) const;        // its number in the base
  int64_t base_identity(int64_t identity) const;  // its number in the base

 private:
  const Dataset& base_;
  std::vector<int64_t> identities_;
  std::vector<int64_t> photos_;
  std::vector<int64_t> identity_of_;
};

}  // namespace tern
