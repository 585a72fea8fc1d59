#pragma once
// The folder of one training run, readable by people and programs:
//
//   config.toml     the options in effect
//   manifest.json   where and on what it ran: version, compiler, processor, seed, data, start, end, status
//   metrics.jsonl   one object a line: {"type":"step",...}, {"type":"evaluation",...}
//   log.txt         start, end and warnings, with their times
//   checkpoints/    train/checkpoint.h
//
// One process at a time writes in it: the folder is locked for as long as the RunDirectory lives.
// Times and machine names stand in manifest and log only. A resumed run cuts metrics.jsonl back to the step
// it resumes from (a line that a kill left half written goes as well), so that no step is there twice.

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "tern/core/fs.h"
#include "tern/train/observer.h"

namespace tern {

class RunDirectory {
 public:
  // A new run makes the folder and refuses one that is not empty with UsageError; a resumed one needs it.
  // UsageError if another process is at work in it; IoError where the operating system refuses.
  RunDirectory(std::string path, bool resume);
  ~RunDirectory();
  RunDirectory(const RunDirectory&) = delete;
  RunDirectory& operator=(const RunDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string checkpoints() const { return path_ + "/checkpoints"; }

  void write_config(const std::string& toml);
  // Values are JSON: text must come quoted (json_text). Keys stand in alphabetical order.
  void write_manifest(const std::map<std::string, std::string>& entries);
  // Keeps the lines of steps up to this one.
  void rewind_metrics(int64_t step);
  void append_metrics(const std::string& json);  // one object, without the line end
  void log(const std::string& text);             // with date and time in front

 private:
  void append(int& fd, const std::string& file, const std::string& line);
  std::string path_;
  std::optional<FolderLock> lock_;
  int metrics_ = -1, log_ = -1;
};

std::string json_text(const std::string& text);  // quoted and escaped
std::string to_json(const StepInfo& info);
std::string to_json(const EvaluationInfo& info);
std::string utc_now();  // "2026-01-31T12:00:00Z"

// What manifest.json says about build and machine: version, compiler, processor, threads.
std::map<std::string, std::string> machine_entries();

}  // namespace tern
