#pragma once
// A folder into which trios of photos are dropped, as DIR/NAME/anchor.jpg, positive.jpg and negative.jpg or
// as DIR/NAME-anchor.jpg and so on; .jpg .jpeg .png .pgm .ppm in any case.

#include <array>
#include <map>
#include <string>
#include <vector>

namespace tern::app {

struct Trio {
  std::string name;
  std::array<std::string, 3> photos;  // paths: anchor, positive, negative
};

class TrioFolder {
 public:
  explicit TrioFolder(std::string folder);

  // The trios that became complete and have not changed since the call before (a photo may still be being
  // copied), by name; each trio once, and again after one of its photos was replaced. Throws IoError.
  std::vector<Trio> take_new();

 private:
  std::string folder_;
  std::map<std::string, std::string> seen_, answered_;  // name -> sizes and times of its photos
};

}  // namespace tern::app
