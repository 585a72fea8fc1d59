#pragma once
// Lists of pairs for verification (the format of Labeled Faces in the Wild) and lists of identities.
//
//   10<TAB>300                      folds and pairs of each kind per fold; or one number: one fold
//   Abel_Pacheco<TAB>1<TAB>4        photos 1 and 4 of one person, 300 times
//   Abdel_Madi<TAB>1<TAB>Pete_G<TAB>2   photo 1 of one person, photo 2 of another, 300 times; then fold 2
//
// Line ends may be CRLF; blank lines at the end are allowed. Where a line has no tab, blanks separate.
// Source: http://vis-www.cs.umass.edu/lfw/README.txt

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tern/data/dataset.h"

namespace tern {

struct PairList {
  struct Pair {
    std::string name_a;
    int index_a = 0;  // counts from 1
    std::string name_b;
    int index_b = 0;
    bool same = false;
    int fold = 0;  // counts from 0
  };
  int folds = 0;
  std::vector<Pair> pairs;

  std::set<std::string> names() const;  // everyone in it
};

// Throws DataError naming file and line: a wrong count, a line that is not a pair, a positive pair of one
// photo with itself, a negative pair of one person.
PairList parse_pairs(std::string_view text, std::string_view file);
PairList read_pairs(const std::string& path);

// The same pairs as photo numbers of a data set.
struct ResolvedPairs {
  struct Pair {
    int64_t a = 0;
    int64_t b = 0;
    bool same = false;
    int fold = 0;
  };
  int folds = 0;
  std::vector<Pair> pairs;
  int64_t missing = 0;  // pairs left out because a photo is not in the data set
};

// Photo i of NAME is NAME/NAME_000i (LFW) or NAME/i (ORL), with any photo extension. Pairs with a missing
// photo throw DataError naming the first, or are left out and counted.
ResolvedPairs resolve_pairs(const PairList& list, const Dataset& dataset, bool allow_missing = false);

// A file with one identity a line, or a pairs file, meaning every name in it (told apart by its header: a
// line of one or two numbers followed by a line of three or four fields). Throws DataError if it names
// nobody.
std::set<std::string> parse_identities(std::string_view text, std::string_view file);
std::set<std::string> read_identities(const std::string& path);

}  // namespace tern
