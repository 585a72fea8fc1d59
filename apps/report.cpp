#include "tern/apps/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tern/apps/report_style.h"
#include "tern/apps/svg.h"

namespace tern::report {

namespace {

constexpr size_t kMaxBytes = 3'000'000, kRoomForCharts = 400'000;

std::string percent(double share, int digits = 1) { return fmt::format("{:.{}f}%", 100 * share, digits); }

std::string thousands(int64_t count) {  // 1990000 as "1,990,000"
  std::string text = std::to_string(count);
  for (size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, 1, ',');
  return text;
}

std::string figure(const std::string& body, const std::string& caption, const char* extra = "") {
  return "<figure" + std::string(extra) + ">" + body + "<figcaption>" + caption + "</figcaption></figure>";
}

// Means of neighbours, so that a few hundred points show thousands of steps.
void thin_out(std::vector<double>& x, std::vector<double>& y, size_t most) {
  if (x.size() <= most) return;
  std::vector<double> tx, ty;
  for (size_t k = 0; k < most; ++k) {
    const size_t from = k * x.size() / most, to = (k + 1) * x.size() / most;
    double sx = 0, sy = 0;
    for (size_t i = from; i < to; ++i) sx += x[i], sy += y[i];
    tx.push_back(sx / static_cast<double>(to - from)), ty.push_back(sy / static_cast<double>(to - from));
  }
  x = tx, y = ty;
}

// The mean over a window around each point.
std::vector<double> smoothed(const std::vector<double>& y) {
  const size_t half = std::max<size_t>(1, y.size() / 40);
  std::vector<double> out(y.size());
  for (size_t i = 0; i < y.size(); ++i) {
    const size_t reach = std::min({half, i, y.size() - 1 - i});
    double sum = 0;
    for (size_t k = i - reach; k <= i + reach; ++k) sum += y[k];
    out[i] = sum / static_cast<double>(2 * reach + 1);
  }
  return out;
}

double largest(const std::vector<double>& values, double otherwise) {
  double most = -1e300;
  for (double v : values)
    if (std::isfinite(v)) most = std::max(most, v);
  return most > -1e300 ? most : otherwise;
}

Chart training_chart(const ReportData& data, const std::vector<double>& values, Axis y,
                     const std::string& title, const std::string& name, const std::string& color) {
  Chart chart;
  chart.title = title;
  std::vector<double> x(data.steps.begin(), data.steps.begin() + static_cast<std::ptrdiff_t>(std::min(
                                                                     data.steps.size(), values.size())));
  std::vector<double> raw(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(x.size()));
  std::vector<double> mean = smoothed(raw), x2 = x;
  thin_out(x, raw, 500);
  thin_out(x2, mean, 500);
  chart.x = {"training step", 0, largest(x, 1)};
  y.high = std::max(y.high, 1.06 * largest(raw, 1));
  chart.y = y;
  chart.series.push_back({"each step", color, x, raw, false, true, false});
  chart.series.push_back({name, color, x2, mean, false, false, false});
  return chart;
}

std::string with_legend(const std::string& heading, const Chart& chart) {
  return "<h3>" + heading + "</h3>" + draw_legend(chart) + draw_chart(chart);
}

std::string training_section(const ReportData& data) {
  if (data.steps.empty() || data.loss.empty()) return "";
  std::string figures;
  const Chart loss = training_chart(data, data.loss, {data.loss_name + " (no unit)", 0, 0},
                                    "Loss over training steps", "moving mean", "main");
  figures += figure(
      with_legend("Loss", loss),
      "The " + html_escaped(data.loss_name) +
          " of each training batch; it averages only the triplets that still violate the margin, so it "
          "falls slowly even while ever fewer triplets do.");
  if (!data.active_fraction.empty()) {
    const Chart active =
        training_chart(data, data.active_fraction, {"active triplets (% of all)", 0, 0, false, true},
                       "Share of active triplets over training steps", "moving mean", "different");
    figures +=
        figure(with_legend("Active triplets", active),
               "The share of triplets in a batch whose negative is not yet farther than the positive by the "
               "margin: what is left to learn.");
  }
  if (data.validation_steps.size() > 1) {
    Chart chart;
    chart.title = "AUC on held-out people over training steps";
    double low = 1;
    for (double v : data.validation_auc) low = std::min(low, v);
    chart.x = {"training step", 0, largest(data.validation_steps, 1)};
    chart.y = {"AUC on held-out people (no unit)", std::min(0.95, std::floor(low * 20) / 20), 1};
    chart.series.push_back({"held-out people", "same", data.validation_steps, data.validation_auc});
    figures +=
        figure(with_legend("Held-out people", chart),
               "The area under the ROC curve on people kept out of training, measured while training ran.");
  }
  return "<h2>Training</h2><div class=\"two\">" + figures + "</div>";
}

std::string roc_figure(const ReportData& data) {
  static const char* const kColors[] = {"main", "different", "light", "grey"};
  Chart chart;
  chart.title = "ROC curves";
  double lowest = 1e-1;
  for (double f : data.roc[0].far)
    if (f > 0) lowest = std::min(lowest, f);
  chart.x = {"false accept rate (share of different pairs, log scale)",
             std::pow(10.0, std::max(-4.0, std::floor(std::log10(lowest)))), 1, true};
  chart.y = {"true accept rate (% of same pairs)", 0, 1, false, true};
  for (size_t i = 0; i < data.roc.size(); ++i) {
    Series s{data.roc[i].name, kColors[std::min<size_t>(i, 3)], data.roc[i].far, data.roc[i].tar};
    s.dashed = i > 0;
    chart.series.push_back(s);
  }
  Series chance{"guessing", "grey", {}, {}, false, true, false};
  for (double f = chart.x.low; f < 1.01; f *= 1.2)
    chance.x.push_back(std::min(1.0, f)), chance.y.push_back(std::min(1.0, f));
  chart.series.push_back(chance);
  return figure(
      with_legend("How many are recognised at how many false alarms", chart),
      "Each threshold on the distance accepts some pairs of the same person (up) and, wrongly, some of "
      "different people (right): the higher the curve, the better.");
}

std::string distance_figure(const ReportData& data) {
  constexpr size_t kBins = 64;
  const double high = std::max(1e-9, 1.02 * largest(data.distances, 1));
  std::vector<double> counts[2] = {std::vector<double>(kBins), std::vector<double>(kBins)};
  double total[2] = {0, 0};
  for (size_t i = 0; i < std::min(data.distances.size(), data.same.size()); ++i) {
    const size_t kind = data.same[i] ? 1 : 0;
    const double place = std::clamp(data.distances[i] / high, 0.0, 0.999999);
    counts[kind][static_cast<size_t>(place * kBins)] += 1;
    total[kind] += 1;
  }
  Chart chart;
  chart.title = "Distances of same and different pairs";
  double most = 0;
  for (int kind : {1, 0}) {
    Series s{
        kind ? "same person" : "different people", kind ? "same" : "different", {}, {}, true, false, false};
    for (size_t b = 0; b < kBins; ++b) {
      const double share = counts[kind][b] / std::max(1.0, total[kind]);
      const double x0 = high * static_cast<double>(b) / kBins, x1 = high * static_cast<double>(b + 1) / kBins;
      s.x.insert(s.x.end(), {x0, x1});
      s.y.insert(s.y.end(), {share, share});
      most = std::max(most, share);
    }
    chart.series.push_back(s);
  }
  chart.x = {"distance between the two embeddings (no unit)", 0, high};
  chart.y = {"pairs (% of their kind)", 0, 1.12 * most, false, true};
  chart.lines.push_back({data.threshold, "threshold " + fmt::format("{:.2f}", data.threshold)});
  return figure(with_legend("Distances", chart),
                "Pairs left of the threshold are judged the same person; where the two hills overlap the "
                "network errs.");
}

std::string results_figure(const ReportData& data) {
  std::string rows;
  for (size_t i = 0; i < data.results.size(); ++i) {
    const MethodResult& r = data.results[i];
    const double above_chance = std::clamp(2 * (r.accuracy - 0.5), 0.0, 1.0);
    rows += fmt::format(
        R"(<tr{}><td>{}</td><td>{}<i class="bar" style="width:{:.0f}%;margin-left:auto"></i></td>)"
        R"(<td>{:.3f}</td><td>{}</td><td>{}</td><td>{}</td></tr>)",
        i == 0 ? " class=\"best\"" : "", html_escaped(r.name), percent(r.accuracy), 100 * above_chance, r.auc,
        percent(r.eer), percent(r.tar_at_1_percent), percent(r.tar_at_tenth_percent));
  }
  return figure(
      "<table><thead><tr><th>judged by</th><th>accuracy</th><th>AUC</th><th>EER</th><th>TAR at "
      "FAR&nbsp;1%</th>"
      "<th>TAR at FAR 0.1%</th></tr></thead><tbody>" +
          rows + "</tbody></table>",
      fmt::format(
          "Verification on {} unseen people ({} photos): accuracy over {} pairs in folds, the threshold "
          "chosen on "
          "the other folds (half of the pairs show one person, so guessing gives 50%); AUC, equal error rate "
          "(EER) and true accept rate (TAR) at a false accept rate (FAR) over all {} same and {} different "
          "pairs.",
          thousands(data.people), thousands(data.photos), thousands(data.fold_pairs),
          thousands(data.same_pairs), thousands(data.different_pairs)),
      " class=\"wide\"");
}

// Photos as data URIs while they fit; afterwards the page says what was left out.
class Photos {
 public:
  Photos(int side, size_t budget) : side_(side), left_(budget) {}
  // Empty when there is no room left.
  std::string tag(const Image& image, const std::string& alt) {
    if (image.pixels.empty()) return "";
    const bool large = std::max(image.width, image.height) > side_;
    const double scale = large ? static_cast<double>(side_) / std::max(image.width, image.height) : 1;
    const auto part = [&](int length) { return std::max(1, static_cast<int>(std::lround(length * scale))); };
    const std::string uri = data_uri(large ? resize(image, part(image.width), part(image.height)) : image);
    if (uri.size() > left_) {
      ++left_out_;
      return "";
    }
    left_ -= uri.size();
    return "<img src=\"" + uri + "\" alt=\"" + html_escaped(alt) + "\">";
  }
  int64_t left_out() const { return left_out_; }

 private:
  int side_;
  size_t left_;
  int64_t left_out_ = 0;
};

std::string pairs_figure(const std::vector<ExamplePair>& pairs, const std::string& heading,
                         const std::string& caption, double threshold, Photos& photos) {
  double most = 2 * threshold;
  for (const ExamplePair& p : pairs) most = std::max(most, p.distance);
  std::string cards;
  for (const ExamplePair& p : pairs) {
    const std::string truth = p.same ? "it is one person" : "they are two people";
    const std::string a = photos.tag(p.a, "first photo"), b = photos.tag(p.b, "second photo");
    if (a.empty() || b.empty()) continue;
    const bool judged_same = p.distance <= threshold;
    cards += fmt::format(R"(<div class="pair"><div class="photos">{}{}</div><div class="scale c-{}">)"
                         R"(<i style="width:{:.1f}%"></i><u style="left:{:.1f}%"></u></div>)"
                         R"(<p><b>{:.2f}</b> judged {}<br>{} {}</p></div>)",
                         a, b, judged_same ? "same" : "different", 100 * p.distance / most,
                         100 * threshold / most, p.distance, judged_same ? "same" : "different",
                         judged_same == p.same ? "and" : "but", truth);
  }
  if (cards.empty()) return "";
  return figure("<h3>" + heading + "</h3><div class=\"pairs\">" + cards + "</div>", caption,
                " class=\"wide\"");
}

std::string pairs_section(const ReportData& data, Photos& photos) {
  const std::string body = pairs_figure(data.wrong, "Judged wrong",
                                        "The mistakes: the bar is the distance, the upright mark the "
                                        "threshold, and each card says what the "
                                        "network decided and what is true.",
                                        data.threshold, photos) +
                           pairs_figure(data.right, "Judged right",
                                        "Pairs told apart or matched correctly across pose, light, "
                                        "expression and coverings; the bar is the "
                                        "distance, the upright mark the threshold.",
                                        data.threshold, photos);
  return body.empty() ? "" : "<h2>Pairs of photos</h2>" + body;
}

std::string montage_section(const ReportData& data, Photos& photos) {
  std::string people;
  for (const MontagePerson& person : data.montage) {
    std::string strip;
    for (const Image& photo : person.photos) strip += photos.tag(photo, person.name);
    if (!strip.empty())
      people += "<div class=\"person\"><p>" + html_escaped(person.name) + "</p><div class=\"strip\">" +
                strip + "</div></div>";
  }
  if (people.empty()) return "";
  return "<h2>The people</h2>" +
         figure(
             "<div class=\"people\">" + people + "</div>",
             "Each strip shows photos of one person; everything but the person changes from photo to photo" +
                 (data.photo_note.empty() ? "" : "; " + html_escaped(data.photo_note)) + ".");
}

std::string tiles(const ReportData& data) {
  if (data.results.empty()) return "";
  const MethodResult& r = data.results[0];
  const auto tile = [](const std::string& value, const std::string& text) {
    return "<div class=\"tile\"><b>" + value + "</b><span>" + text + "</span></div>";
  };
  std::string out = "<div class=\"tiles\">";
  out += tile(percent(r.accuracy), data.accuracy_std > 0 ? "of unseen pairs judged right, ± " +
                                                               percent(data.accuracy_std) + " between folds"
                                                         : std::string("of unseen pairs judged right"));
  out += tile(fmt::format("{:.3f}", r.auc), "area under the ROC curve (1 is perfect)");
  out += tile(percent(r.tar_at_1_percent), "recognised at 1% false accepts");
  out += tile(thousands(data.people), "people never seen in training, " + thousands(data.photos) + " photos");
  return out + "</div>";
}

std::string run_card(const ReportData& data) {
  if (data.run_card.empty()) return "";
  std::string rows;
  for (const auto& [name, value] : data.run_card)
    rows += "<div><dt>" + html_escaped(name) + "</dt><dd>" + html_escaped(value) + "</dd></div>";
  return "<h2>Run card</h2>" + figure("<dl>" + rows + "</dl>", "What was run, so that it can be run again.");
}

}  // namespace

std::string html_report(const ReportData& data, int photo_side) {
  Photos photos(photo_side, kMaxBytes - kRoomForCharts);
  std::string judgement;
  if (!data.roc.empty()) judgement += roc_figure(data);
  if (!data.distances.empty()) judgement += distance_figure(data);
  if (!judgement.empty()) judgement = "<div class=\"two\">" + judgement + "</div>";
  if (!data.results.empty()) judgement += results_figure(data);
  if (!judgement.empty()) judgement = "<h2>On people it has never seen</h2>" + judgement;
  const std::string people = montage_section(data, photos), pairs = pairs_section(data, photos);
  std::string out =
      "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>" +
      html_escaped(data.title) + "</title><style>" + kStyle + "</style></head><body><main><header><h1>" +
      html_escaped(data.title) + "</h1>";
  if (!data.summary.empty()) out += "<p class=\"lead\">" + html_escaped(data.summary) + "</p>";
  out += tiles(data) + "</header>" + people + judgement + pairs + training_section(data) + run_card(data);
  if (photos.left_out() > 0)
    out += fmt::format("<footer>{} photos were left out to keep this page below 3 MB.</footer>",
                       photos.left_out());
  return out + "</main></body></html>\n";
}

}  // namespace tern::report
