#pragma once
// The report of a run: one HTML file that shows how the training went, how well the network judges people it
// has never seen, and what it looks at. Nothing in it comes from outside the file: charts are inline SVG,
// photos are data URIs.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tern/data/image.h"

namespace tern::report {

// One way of telling people apart, judged on the same pairs.
struct MethodResult {
  std::string name;  // "trained network", "raw pixels"
  double accuracy = 0, auc = 0, eer = 0;
  double tar_at_1_percent = 0, tar_at_tenth_percent = 0;  // TAR at FAR 1e-2 and 1e-3
};

struct RocSeries {
  std::string name;
  std::vector<double> far, tar;  // ascending
};

struct ExamplePair {
  Image a, b;
  double distance = 0;
  bool same = false;  // the truth; judged the same if distance <= threshold
};

struct MontagePerson {
  std::string name;
  std::vector<Image> photos;
};

struct ReportData {
  std::string title = "tern demo";
  std::string summary;  // one or two sentences under the title

  // Training, one value a step; leave out what there is not.
  std::vector<double> steps, loss, active_fraction;
  std::string loss_name = "triplet loss";
  std::vector<double> validation_steps, validation_auc;

  // Judgement on unseen people. results[0] is the trained network, roc[0] its curve.
  std::vector<MethodResult> results;
  double accuracy_std = 0;
  int64_t people = 0, photos = 0;
  int64_t fold_pairs = 0;                       // behind the accuracy, half of them of one person
  int64_t same_pairs = 0, different_pairs = 0;  // behind AUC, EER and TAR
  std::vector<RocSeries> roc;
  std::vector<double> distances;
  std::vector<uint8_t> same;
  double threshold = 0;

  std::vector<ExamplePair> right, wrong;
  std::vector<MontagePerson> montage;
  std::string photo_note;  // what else to know of the photos: "drawn larger than the network sees them"
  std::vector<std::pair<std::string, std::string>> run_card;  // name, value
};

// The whole page. Sections without data are left out. Photos larger than `photo_side` are shrunk to it; if
// the page would pass 3 MB, photos are left out from the end of the lists, and the page says so.
std::string html_report(const ReportData& data, int photo_side = 128);

// An image as "data:image/jpeg;base64,..." (a BMP where tern was built without libjpeg).
std::string data_uri(const Image& image, int quality = 88);

}  // namespace tern::report
