#include "tern/apps/report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <regex>

#include "tern/apps/svg.h"
#include "tern/core/error.h"
#include "tern/data/synthetic.h"

namespace tern::report {
namespace {

ReportData sample(int64_t photos_of_each = 4) {
  ReportData data;
  data.title = "a <run> & its \"report\"";
  data.summary = "Two photos in, one distance out.";
  for (int i = 0; i < 700; ++i) {
    data.steps.push_back(i);
    data.loss.push_back(0.2 + 0.1 / (1 + 0.01 * i) + 0.01 * std::sin(1.7 * i));
    data.active_fraction.push_back(0.6 / (1 + 0.01 * i));
  }
  data.validation_steps = {100, 400, 700};
  data.validation_auc = {0.9, 0.95, 0.97};
  data.results = {{"trained network", 0.96, 0.99, 0.04, 0.9, 0.7}, {"raw pixels", 0.7, 0.77, 0.3, 0.1, 0.02}};
  data.people = 200, data.photos = 2000, data.fold_pairs = 6000, data.same_pairs = 9000,
  data.different_pairs = 1990000;
  data.roc = {{"trained network", {0, 1e-4, 1e-2, 1}, {0, 0.5, 0.9, 1}},
              {"raw pixels", {0, 0.1, 1}, {0, 0.4, 1}}};
  for (int i = 0; i < 500; ++i) {
    data.distances.push_back(0.2 + 0.002 * i);
    data.same.push_back(i < 260);
  }
  data.threshold = 0.72;
  SyntheticOptions options;
  const auto photo = [&](int64_t who, int64_t which) { return draw_face(options, who, which); };
  data.right.push_back({photo(0, 0), photo(0, 1), 0.4, true});
  data.right.push_back({photo(0, 0), photo(1, 1), 0.9, false});
  data.wrong.push_back({photo(2, 0), photo(2, 1), 0.95, true});
  for (int64_t who = 0; who < 3; ++who) {
    data.montage.push_back({"person " + std::to_string(who), {}});
    for (int64_t i = 0; i < photos_of_each; ++i) data.montage.back().photos.push_back(photo(who, i));
  }
  data.run_card = {{"seed", "1"}, {"processor", "a <fast> one"}};
  return data;
}

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

TEST(Report, NothingComesFromOutsideTheFile) {
  const std::string html = html_report(sample());
  EXPECT_EQ(count_of(html, "http:"), 0u);
  EXPECT_EQ(count_of(html, "https:"), 0u);
  EXPECT_EQ(count_of(html, "<script"), 0u);
  EXPECT_EQ(count_of(html, "<link"), 0u);
  EXPECT_EQ(count_of(html, "src=\""), count_of(html, "src=\"data:image/"));
  EXPECT_EQ(count_of(html, "url("), 0u);
}

TEST(Report, EveryFigureHasOneCaptionOfOneSentence) {
  const std::string html = html_report(sample());
  const std::regex caption("<figcaption>([^<]*)</figcaption></figure>");
  size_t captions = 0;
  for (std::sregex_iterator it(html.begin(), html.end(), caption), end; it != end; ++it, ++captions) {
    const std::string text = (*it)[1];
    EXPECT_EQ(text.back(), '.') << text;
    EXPECT_EQ(count_of(text, ". "), 0u) << text;
  }
  EXPECT_EQ(captions, count_of(html, "<figure"));
  EXPECT_EQ(captions, 10u);
}

TEST(Report, EveryChartNamesBothAxes) {
  const std::string html = html_report(sample());
  const size_t charts = count_of(html, "role=\"img\"");
  EXPECT_EQ(charts, 5u);
  EXPECT_EQ(count_of(html, "class=\"label\""), 2 * charts);
  const std::string chart = html.substr(html.find("<svg"), html.find("</figure>") - html.find("<svg"));
  EXPECT_EQ(count_of(chart, "nan"), 0u);
  EXPECT_EQ(count_of(chart, "inf"), 0u);
}

TEST(Report, TextIsEscaped) {
  const std::string html = html_report(sample());
  EXPECT_NE(html.find("a &lt;run&gt; &amp; its &quot;report&quot;"), std::string::npos);
  EXPECT_EQ(html.find("<run>"), std::string::npos);
  EXPECT_EQ(html.find("<fast>"), std::string::npos);
}

TEST(Report, TagsAreBalanced) {
  const std::string html = html_report(sample());
  for (const char* tag : {"div", "figure", "svg", "table", "tr", "span", "p", "dl", "main", "header"}) {
    const std::string open = std::string("<") + tag;
    EXPECT_EQ(count_of(html, open + ">") + count_of(html, open + " "),
              count_of(html, std::string("</") + tag + ">"))
        << tag;
  }
}

TEST(Report, StaysBelowThreeMegabytes) {
  ReportData data = sample();
  Image big = make_image(128, 128, 3);
  for (size_t i = 0; i < big.pixels.size(); ++i)
    big.pixels[i] = static_cast<uint8_t>(i * i * 2654435761u >> 13);
  for (int i = 0; i < 200; ++i) data.montage[0].photos.push_back(big);
  const std::string html = html_report(data);
  EXPECT_LT(html.size(), 3'000'000u);
  EXPECT_NE(html.find("were left out to keep this page below 3 MB"), std::string::npos);
  EXPECT_EQ(html_report(sample()).find("were left out"), std::string::npos);
}

TEST(Report, SectionsWithoutDataAreLeftOut) {
  const std::string html = html_report({});
  EXPECT_EQ(count_of(html, "<figure"), 0u);
  EXPECT_EQ(count_of(html, "<h2>"), 0u);
}

TEST(Report, ImageBecomesADataUri) {
  const Image image = make_image(5, 3, 3, 90);
  EXPECT_EQ(data_uri(image).rfind("data:image/", 0), 0u);
  Image broken = image;
  broken.pixels.pop_back();
  EXPECT_THROW(data_uri(broken), UsageError);
}

TEST(Svg, TicksAreRound) {
  EXPECT_EQ(nice_ticks(0, 1, 5), (std::vector<double>{0, 0.2, 0.4, 0.6000000000000001, 0.8, 1}));
  EXPECT_EQ(nice_ticks(0, 700, 6), (std::vector<double>{0, 100, 200, 300, 400, 500, 600, 700}));
  EXPECT_EQ(nice_ticks(3, 3, 5), std::vector<double>{3});
  EXPECT_EQ(short_number(0.6000000000000001), "0.6");
  EXPECT_EQ(short_number(1e-4), "0.0001");
}

TEST(Svg, PointsLandWhereTheAxesSay) {
  Chart chart;
  chart.x = {"x", 0, 10}, chart.y = {"y", 0, 1};
  chart.series.push_back({"s", "main", {0, 10}, {0, 1}});
  const std::string svg = draw_chart(chart);
  EXPECT_NE(svg.find("d=\"M54.0 242.0L426.0 14.0\""), std::string::npos) << svg;
  chart.x = {"x", 1e-4, 1, true};
  chart.series[0] = {"s", "main", {1e-4, 1e-2}, {0, 1}};
  EXPECT_NE(draw_chart(chart).find("d=\"M54.0 242.0L240.0 14.0\""), std::string::npos)
      << "the middle of four decades";
}

}  // namespace
}  // namespace tern::report
