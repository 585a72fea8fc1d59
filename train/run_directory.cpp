#include "tern/train/run_directory.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

#include "tern/core/error.h"
#include "tern/core/fs.h"
#include "tern/core/parallel.h"

#include <nlohmann/json.hpp>

namespace tern {
namespace {

namespace stdfs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr int64_t kMaxMetricsBytes = int64_t{1} << 33;

// The step of a whole line, -1 if the line is torn or has none.
int64_t step_of(const std::string& line) {
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object() || !json.contains("step") || !json["step"].is_number_integer()) return -1;
  return json["step"].get<int64_t>();
}

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name")) return line.substr(std::min(line.find(':') + 2, line.size()));
  }
  return "unknown";
}

}  // namespace

RunDirectory::RunDirectory(std::string path, bool resume) : path_(std::move(path)) {
  check(!path_.empty(), "run directory: the path is empty");
  std::error_code error;
  const bool there = stdfs::exists(path_, error);
  check<IoError>(!there || stdfs::is_directory(path_, error), "run directory: ", escaped(path_),
                 " is a file");
  check(resume || !there || stdfs::is_empty(path_, error), "run directory: ", escaped(path_),
        " is not empty; hint: choose another name, or resume the run in it");
  stdfs::create_directories(checkpoints(), error);
  check<IoError>(!error, "run directory: cannot make ", escaped(checkpoints()), ": ", error.message());
  lock_.emplace(path_);
}

RunDirectory::~RunDirectory() {
  if (metrics_ >= 0) ::close(metrics_);
  if (log_ >= 0) ::close(log_);
}

void RunDirectory::write_config(const std::string& toml) {
  write_file_atomically(path_ + "/config.toml", toml);
}

void RunDirectory::write_manifest(const std::map<std::string, std::string>& entries) {
  std::string text = "{";
  for (const auto& [key, value] : entries) {
    text += (text.size() > 1 ? ",\n  " : "\n  ") + json_text(key) + ": " + value;
  }
  write_file_atomically(path_ + "/manifest.json", text + "\n}\n");
}

void RunDirectory::rewind_metrics(int64_t step) {
  const std::string file = path_ + "/metrics.jsonl";
  if (!stdfs::exists(file)) return;
  if (metrics_ >= 0) ::close(std::exchange(metrics_, -1));
  std::istringstream lines(read_file(file, kMaxMetricsBytes));
  std::string kept;
  for (std::string line; std::getline(lines, line);) {
    const int64_t at = step_of(line);
    if (at >= 0 && at <= step) kept += line + "\n";
  }
  write_file_atomically(file, kept);
}

void RunDirectory::append(int& fd, const std::string& file, const std::string& line) {
  const std::string path = path_ + "/" + file;
  if (fd < 0) fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  check<IoError>(fd >= 0, "cannot open ", escaped(path), ": ", std::strerror(errno));
  for (size_t done = 0; done < line.size();) {  // one call as a rule, so that readers see whole lines
    const ssize_t n = ::write(fd, line.data() + done, line.size() - done);
    if (n < 0 && errno == EINTR) continue;
    check<IoError>(n > 0, "cannot write ", escaped(path), ": ", std::strerror(errno));
    done += static_cast<size_t>(n);
  }
}

void RunDirectory::append_metrics(const std::string& json) { append(metrics_, "metrics.jsonl", json + "\n"); }

void RunDirectory::log(const std::string& text) { append(log_, "log.txt", utc_now() + " " + text + "\n"); }

std::string json_text(const std::string& text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string to_json(const StepInfo& info) {
  Json json{{"type", "step"},
            {"step", info.step},
            {"loss", info.loss},
            {"lr", info.lr},
            {"grad_norm", info.grad_norm},
            {"photos", info.photos},
            {"people", info.people},
            {"short_people", info.short_people},
            {"images_per_s", info.images_per_s}};
  if (const TripletStats& s = info.stats(); s.valid > 0) {
    json.update(Json{{"triplets", s.valid},
                     {"terms", s.terms},
                     {"active", s.active},
                     {"active_fraction", s.active_fraction()},
                     {"hard", s.hard},
                     {"semi_hard", s.semi_hard},
                     {"d_ap", s.d_ap.mean},
                     {"d_ap_p10", s.d_ap.p10},
                     {"d_ap_p90", s.d_ap.p90},
                     {"d_an", s.d_an.mean},
                     {"d_an_p10", s.d_an.p10},
                     {"d_an_p90", s.d_an.p90},
                     {"pairwise_rms", s.pairwise_rms},
                     {"spread", s.spread}});
  }
  return json.dump();
}

std::string to_json(const EvaluationInfo& info) {
  const metrics::Evaluation& e = info.evaluation;
  Json tars = Json::object();
  for (const auto& t : e.tar_at_far) {
    std::ostringstream far;
    far << t.wanted_far;
    tars[far.str()] = t.tar;
  }
  Json json{{"type", "evaluation"},
            {"step", info.step},
            {"held_out", info.held_out},
            {"auc", e.auc},
            {"eer", e.eer},
            {"tar_at_far", tars},
            {"rank1", e.rank1.rate},
            {"recall_at_1", e.retrieval.recall_at.empty() ? 0.0 : e.retrieval.recall_at[0]},
            {"map_at_r", e.retrieval.map_at_r},
            {"threshold", e.calibration.threshold},
            {"balanced_accuracy", e.calibration.balanced_accuracy},
            {"photos", e.photos},
            {"people", e.people},
            {"best", info.best}};
  if (!e.verification.folds.empty()) {
    json["accuracy_mean"] = e.verification.accuracy_mean;
    json["accuracy_std"] = e.verification.accuracy_std;
  }
  return json.dump();
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

std::map<std::string, std::string> machine_entries() {
  char host[256] = "unknown";
  gethostname(host, sizeof host - 1);
  return {{"version", json_text(TERN_VERSION)},
          {"compiler", json_text(__VERSION__)},
          {"host", json_text(host)},
          {"processor", json_text(processor_name())},
          {"threads", std::to_string(num_threads())}};
}

}  // namespace tern
