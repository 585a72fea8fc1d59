#include "tern/apps/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace tern::report {

namespace {

constexpr double kWidth = 440, kHeight = 290, kLeft = 54, kRight = 14, kTop = 14, kBottom = 48;

struct Scale {
  const Axis& axis;
  double from, to;  // pixels of low and high
  double operator()(double value) const {
    const auto place = [&](double v) { return axis.log ? std::log10(std::max(v, axis.low * 1e-3)) : v; };
    const double span = place(axis.high) - place(axis.low);
    return from + (to - from) * (span == 0 ? 0 : (place(value) - place(axis.low)) / span);
  }
};

std::vector<double> axis_ticks(const Axis& axis, int count) {
  if (!axis.log) return nice_ticks(axis.low, axis.high, count);
  std::vector<double> ticks;
  const int first = static_cast<int>(std::ceil(std::log10(axis.low) - 1e-9));
  const int last = static_cast<int>(std::floor(std::log10(axis.high) + 1e-9));
  for (int decade = first; decade <= last; ++decade) ticks.push_back(std::pow(10.0, decade));
  return ticks;
}

std::string tick_text(const Axis& axis, double value) {
  return axis.percent ? short_number(100 * value) + "%" : short_number(value);
}

// Leaves out points that would fall on the same spot of the screen: a curve needs no more than it can show.
std::string path_of(const Series& series, const Scale& sx, const Scale& sy) {
  std::string path;
  double last_x = 0, last_y = 0;
  const size_t n = std::min(series.x.size(), series.y.size());
  for (size_t i = 0; i < n; ++i) {
    if (!std::isfinite(series.x[i]) || !std::isfinite(series.y[i])) continue;
    const double x = sx(series.x[i]), y = sy(series.y[i]);
    if (!path.empty() && i + 1 < n && std::fabs(x - last_x) < 0.35 && std::fabs(y - last_y) < 0.35) continue;
    path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", x, y);
    last_x = x, last_y = y;
  }
  return path;
}

std::string draw_axes(const Chart& chart, const Scale& sx, const Scale& sy) {
  std::string out;
  const double bottom = kHeight - kBottom, right = kWidth - kRight;
  for (double tick : axis_ticks(chart.y, 5)) {
    const double y = sy(tick);
    out += fmt::format(R"(<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>)", kLeft, right, y, y);
    out += fmt::format(R"(<text class="tick" x="{}" y="{:.1f}" text-anchor="end">{}</text>)", kLeft - 7,
                       y + 4, tick_text(chart.y, tick));
  }
  for (double tick : axis_ticks(chart.x, 6)) {
    const double x = sx(tick);
    out += fmt::format(R"(<line class="axis" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>)", x, x, bottom,
                       bottom + 4);
    out += fmt::format(R"(<text class="tick" x="{:.1f}" y="{}" text-anchor="{}">{}</text>)", x, bottom + 17,
                       x > right - 6 ? "end" : "middle", tick_text(chart.x, tick));
  }
  out += fmt::format(R"(<line class="axis" x1="{}" x2="{}" y1="{}" y2="{}"/>)", kLeft, right, bottom, bottom);
  out += fmt::format(R"(<text class="label" x="{:.1f}" y="{}" text-anchor="middle">{}</text>)",
                     (kLeft + right) / 2, kHeight - 8, html_escaped(chart.x.label));
  out += fmt::format(R"svg(<text class="label" text-anchor="middle" )svg"
                     R"svg(transform="translate(13 {:.1f}) rotate(-90)">{}</text>)svg",
                     (kTop + bottom) / 2, html_escaped(chart.y.label));
  return out;
}

std::string draw_series(const Series& series, const Scale& sx, const Scale& sy) {
  const std::string path = path_of(series, sx, sy);
  if (path.empty()) return "";
  std::string out;
  if (series.area) {
    const double base = kHeight - kBottom;
    out += fmt::format(R"(<path class="area c-{}" d="{}L{:.1f} {}L{:.1f} {}Z"/>)", series.color, path,
                       sx(series.x.back()), base, sx(series.x.front()), base);
  }
  out += fmt::format(R"(<path class="line{}{} c-{}" d="{}"/>)", series.faint ? " faint" : "",
                     series.dashed ? " dashed" : "", series.color, path);
  return out;
}

std::string draw_marks(const Chart& chart, const Scale& sx, const Scale& sy) {
  std::string out;
  const double middle = (kLeft + kWidth - kRight) / 2;
  for (const VerticalLine& line : chart.lines) {
    const double x = sx(line.x);
    out += fmt::format(R"(<line class="mark" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>)", x, x, kTop,
                       kHeight - kBottom);
    out += fmt::format(R"(<text class="note" x="{:.1f}" y="{}" text-anchor="{}">{}</text>)",
                       x < middle ? x + 6 : x - 6, kTop + 11, x < middle ? "start" : "end",
                       html_escaped(line.label));
  }
  for (const Dot& dot : chart.dots) {
    const double x = sx(dot.x), y = sy(dot.y);
    out += fmt::format(R"(<circle class="dot c-{}" cx="{:.1f}" cy="{:.1f}" r="4.5"/>)", dot.color, x, y);
    out += fmt::format(R"(<text class="note" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>)",
                       x < middle ? x + 9 : x - 9, y + 17, x < middle ? "start" : "end",
                       html_escaped(dot.label));
  }
  return out;
}

}  // namespace

std::vector<double> nice_ticks(double low, double high, int count) {
  if (!(high > low) || count < 1) return {low};
  const double rough = (high - low) / count, power = std::pow(10.0, std::floor(std::log10(rough)));
  const double part = rough / power;
  const double step = power * (part < 1.5 ? 1 : part < 3.5 ? 2 : part < 7.5 ? 5 : 10);
  std::vector<double> ticks;
  for (double k = std::ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; ++k)
    ticks.push_back(k * step);
  return ticks;
}

std::string short_number(double value) {
  if (std::fabs(value) < 1e-12) return "0";
  return fmt::format("{:.4g}", value);
}

std::string html_escaped(const std::string& text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string draw_chart(const Chart& chart) {
  const Scale sx{chart.x, kLeft, kWidth - kRight}, sy{chart.y, kHeight - kBottom, kTop};
  std::string out = fmt::format(R"(<svg viewBox="0 0 {} {}" role="img" aria-label="{}">)", kWidth, kHeight,
                                html_escaped(chart.title));
  out += draw_axes(chart, sx, sy);
  // A nested svg clips its content: nothing is drawn over the axes' labels.
  const double plot_width = kWidth - kLeft - kRight + 8, plot_height = kHeight - kBottom - kTop + 9;
  out += fmt::format(R"(<svg x="{0}" y="{1}" width="{2}" height="{3}" viewBox="{0} {1} {2} {3}">)", kLeft - 1,
                     kTop - 6, plot_width, plot_height);
  for (const Series& series : chart.series) out += draw_series(series, sx, sy);
  out += "</svg>";
  out += draw_marks(chart, sx, sy);
  return out + "</svg>";
}

std::string draw_legend(const Chart& chart) {
  std::string out = "<div class=\"legend\">";
  for (const Series& series : chart.series) {
    if (series.name.empty()) continue;
    out += fmt::format(R"(<span><i class="swatch c-{}{}"></i>{}</span>)", series.color,
                       series.faint    ? " faint"
                       : series.dashed ? " dashed"
                                       : "",
                       html_escaped(series.name));
  }
  return out + "</div>";
}

}  // namespace tern::report
