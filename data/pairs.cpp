#include "tern/data/pairs.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <optional>
#include <utility>

#include "tern/core/error.h"

namespace tern {

namespace {

constexpr int64_t kMaxListBytes = 256 << 20;

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == '\r' || text.back() == ' ' || text.back() == '\t'))
    text.remove_suffix(1);
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  return text;
}

// Lines without their ends; a UTF-8 byte order mark and the blank lines at the end are dropped.
std::vector<std::string_view> split_lines(std::string_view text) {
  if (text.substr(0, 3) == "\xef\xbb\xbf") text.remove_prefix(3);
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    lines.push_back(trimmed(text.substr(0, end)));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

std::vector<std::string_view> split_fields(std::string_view line) {
  const bool tabs = line.find('\t') != std::string_view::npos;
  std::vector<std::string_view> fields;
  while (!line.empty()) {
    const size_t end = tabs ? line.find('\t') : line.find_first_of(" ");
    fields.push_back(trimmed(line.substr(0, end)));
    if (end == std::string_view::npos) break;
    line.remove_prefix(end + 1);
    while (!tabs && !line.empty() && line.front() == ' ') line.remove_prefix(1);
  }
  return fields;
}

// A positive decimal number of at most nine digits.
std::optional<int> positive(std::string_view text) {
  if (text.empty() || text.size() > 9) return std::nullopt;
  int value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  if (value == 0) return std::nullopt;
  return value;
}

bool is_header(const std::vector<std::string_view>& fields) {
  return (fields.size() == 1 && positive(fields[0])) ||
         (fields.size() == 2 && positive(fields[0]) && positive(fields[1]));
}

PairList::Pair parse_pair(const std::string& where, std::string_view line, bool same, int fold) {
  const auto fields = split_fields(line);
  const size_t expected = same ? 3 : 4;
  check<DataError>(fields.size() == expected, where, "expected ",
                   same ? "NAME<TAB>I<TAB>J" : "NAME<TAB>I<TAB>NAME<TAB>J", ", found ", fields.size(),
                   " fields: ", escaped(line.substr(0, 80)));
  const std::string_view name_a = fields[0], name_b = same ? fields[0] : fields[2];
  const auto index_a = positive(fields[1]), index_b = positive(fields[expected - 1]);
  check<DataError>(!name_a.empty() && !name_b.empty() && index_a && index_b, where,
                   "photo numbers are whole and count from 1: ", escaped(line.substr(0, 80)));
  if (same)
    check<DataError>(*index_a != *index_b, where,
                     "a positive pair of one photo with itself: ", escaped(line.substr(0, 80)));
  else
    check<DataError>(name_a != name_b, where, "a negative pair of one person: ", escaped(line.substr(0, 80)));
  return {std::string(name_a), *index_a, std::string(name_b), *index_b, same, fold};
}

std::string read_text(const std::string& path) {
  const std::vector<uint8_t> bytes = read_photo_bytes(path, kMaxListBytes);
  return {bytes.begin(), bytes.end()};
}

}  // namespace

std::set<std::string> PairList::names() const {
  std::set<std::string> names;
  for (const Pair& pair : pairs) {
    names.insert(pair.name_a);
    names.insert(pair.name_b);
  }
  return names;
}

PairList parse_pairs(std::string_view text, std::string_view file) {
  const std::string name = escaped(file);
  const auto lines = split_lines(text);
  check<DataError>(!lines.empty(), name, ": the pairs file is empty");
  const auto header = split_fields(lines[0]);
  check<DataError>(is_header(header), name,
                   ":1: expected FOLDS<TAB>PAIRS or one number, found: ", escaped(lines[0].substr(0, 80)));
  const int64_t folds = header.size() == 2 ? *positive(header[0]) : 1;
  const int64_t count = *positive(header.back());
  const auto found = static_cast<int64_t>(lines.size()) - 1;
  check<DataError>(found == folds * count * 2, name, ": the header states ", folds, " folds of ", count,
                   " same and ", count, " different pairs, ", folds * count * 2, " lines; ", found,
                   " follow");
  PairList list;
  list.folds = static_cast<int>(folds);
  list.pairs.reserve(static_cast<size_t>(found));
  for (int64_t i = 0; i < found; ++i) {
    const std::string where = concat_text(name, ":", i + 2, ": ");
    const auto fold = static_cast<int>(i / (2 * count));
    list.pairs.push_back(parse_pair(where, lines[static_cast<size_t>(i + 1)], i / count % 2 == 0, fold));
  }
  return list;
}

PairList read_pairs(const std::string& path) { return parse_pairs(read_text(path), path); }

namespace {

// Photo numbers by (identity, index): the digits after the last '_' of NAME_0004.jpg, or the whole stem
// of 4.pgm.
std::map<std::pair<std::string, int>, int64_t> index_photos(const Dataset& dataset) {
  std::map<std::pair<std::string, int>, int64_t> photos;
  for (int64_t i = 0; i < dataset.size(); ++i) {
    const std::string identity = dataset.identity_name(dataset.identity(i));
    std::string stem = dataset.photo_name(i);
    if (const size_t slash = stem.rfind('/'); slash != std::string::npos) stem.erase(0, slash + 1);
    if (const size_t dot = stem.rfind('.'); dot != std::string::npos) stem.erase(dot);
    if (stem.size() > identity.size() + 1 && stem.compare(0, identity.size(), identity) == 0 &&
        stem[identity.size()] == '_')
      stem.erase(0, identity.size() + 1);
    if (const auto index = positive(stem)) photos.emplace(std::pair(identity, *index), i);
  }
  return photos;
}

}  // namespace

ResolvedPairs resolve_pairs(const PairList& list, const Dataset& dataset, bool allow_missing) {
  const auto photos = index_photos(dataset);
  const auto find = [&](const std::string& name, int index) -> int64_t {
    const auto found = photos.find({name, index});
    if (found != photos.end()) return found->second;
    check<DataError>(allow_missing, "pairs: photo ", index, " of ", escaped(name),
                     " is not in the data set; hint: check the data folder, or leave missing pairs out with "
                     "--allow-missing");
    return -1;
  };
  ResolvedPairs resolved;
  resolved.folds = list.folds;
  for (const PairList::Pair& pair : list.pairs) {
    const int64_t a = find(pair.name_a, pair.index_a), b = find(pair.name_b, pair.index_b);
    if (a < 0 || b < 0) ++resolved.missing;
    else resolved.pairs.push_back({a, b, pair.same, pair.fold});
  }
  return resolved;
}

std::set<std::string> parse_identities(std::string_view text, std::string_view file) {
  const auto lines = split_lines(text);
  if (lines.size() >= 2 && is_header(split_fields(lines[0])) && split_fields(lines[1]).size() >= 3)
    return parse_pairs(text, file).names();
  std::set<std::string> names;
  for (const std::string_view line : lines)
    if (!line.empty()) names.emplace(line);
  check<DataError>(!names.empty(), escaped(file),
                   ": names nobody; expected one identity a line, or a pairs file");
  return names;
}

std::set<std::string> read_identities(const std::string& path) {
  return parse_identities(read_text(path), path);
}

}  // namespace tern
