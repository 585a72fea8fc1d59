#pragma once
// Line charts as SVG text, for reports that need no network, no script library and no font of their own.
// Colours come from the page through CSS classes (ink, grid, c-NAME), so one chart serves the light and the
// dark scheme.

#include <string>
#include <vector>

namespace tern::report {

struct Axis {
  std::string label;  // name and unit: "training step", "false accept rate (log scale)"
  double low = 0, high = 1;
  bool log = false;      // decades; low > 0
  bool percent = false;  // ticks as percent of 1
};

struct Series {
  std::string name;   // empty: not in the legend
  std::string color;  // class of the page: "main", "same", "different", "grey", "light"
  std::vector<double> x, y;
  bool area = false;   // filled down to the x axis
  bool faint = false;  // behind the others, thin
  bool dashed = false;
};

struct VerticalLine {
  double x = 0;
  std::string label;
};

struct Dot {
  double x = 0, y = 0;
  std::string color, label;
};

struct Chart {
  std::string title;  // for screen readers
  Axis x, y;
  std::vector<Series> series;
  std::vector<VerticalLine> lines;
  std::vector<Dot> dots;
};

// An <svg> element that fills the width of its parent. Points outside the axes are clipped.
std::string draw_chart(const Chart& chart);
// The names of the series with their colours, as HTML that wraps where the page is narrow.
std::string draw_legend(const Chart& chart);

// Round positions between low and high, about `count` of them: 1, 2 or 5 times a power of ten.
std::vector<double> nice_ticks(double low, double high, int count);
// "0.25", "1200", "1e-05" without superfluous digits.
std::string short_number(double value);
// &, <, > and quotes made safe for HTML text and attributes.
std::string html_escaped(const std::string& text);

}  // namespace tern::report
