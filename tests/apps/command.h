#pragma once
// Runs the built tern as a person does: a process with its own output, exit code and limits.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

namespace tern::test {

inline std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline void write_text(const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

// Every file under a folder with its bytes.
inline std::map<std::string, std::string> files_of(const std::string& folder) {
  std::map<std::string, std::string> files;
  if (!std::filesystem::exists(folder)) return files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.is_regular_file())
      files[std::filesystem::relative(entry.path(), folder).string()] = read_text(entry.path().string());
  return files;
}

struct Ended {
  int code = -1;  // 128 + signal where a signal ended it
  std::string out, err;
  double seconds = 0;

  // Standard output, which must be one JSON object and nothing else.
  nlohmann::json json() const {
    const auto value = nlohmann::json::parse(out, nullptr, false);
    EXPECT_TRUE(value.is_object()) << out << err;
    return value.is_object() ? value : nlohmann::json::object();
  }
};

struct Surroundings {
  std::map<std::string, std::string> environment;
  int64_t file_limit = 0;  // > 0: no file may grow beyond so many bytes
  std::string out, err;    // where standard output and error go; empty: they are kept
};

// A process that runs in a folder. The destructor ends it.
class Running {
 public:
  Running(const std::string& folder, std::string program, std::vector<std::string> args,
          const Surroundings& with = {})
      : out_(folder + "/.out"), err_(folder + "/.err"), begin_(std::chrono::steady_clock::now()) {
    if (!with.out.empty()) out_ = with.out, keeps_out_ = false;
    if (!with.err.empty()) err_ = with.err, keeps_err_ = false;
    args.insert(args.begin(), program);
    std::vector<char*> argv;
    for (auto& arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) start(folder, program, argv, with);
  }
  ~Running() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  void signal(int number) const { ::kill(pid_, number); }
  std::string out() const { return keeps_out_ ? read_text(out_) : ""; }
  std::string err() const { return keeps_err_ ? read_text(err_) : ""; }
  bool ended() const {
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == pid_;
  }

  // Until it is so, or the process has ended, or 30 seconds are over.
  template <class Condition>
  bool wait_until(Condition&& condition) const {
    for (const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);;) {
      if (condition()) return true;
      if (ended() || std::chrono::steady_clock::now() > end) return condition();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  Ended wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    Ended result{WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), out(), err(), 0};
    result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
    return result;
  }

 private:
  [[noreturn]] void start(const std::string& folder, const std::string& program, std::vector<char*>& argv,
                          const Surroundings& with) const {
    const int out = ::open(out_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    const int err = ::open(err_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    const int in = ::open("/dev/null", O_RDONLY);
    if (out < 0 || err < 0 || in < 0 || ::chdir(folder.c_str()) != 0) ::_exit(99);
    ::dup2(in, 0), ::dup2(out, 1), ::dup2(err, 2);
    for (const auto& [name, value] : with.environment) ::setenv(name.c_str(), value.c_str(), 1);
    if (with.file_limit > 0) {
      const rlimit limit{static_cast<rlim_t>(with.file_limit), static_cast<rlim_t>(with.file_limit)};
      ::setrlimit(RLIMIT_FSIZE, &limit);
    }
    ::execv(program.c_str(), argv.data());
    ::_exit(99);
  }

  std::string out_, err_;
  bool keeps_out_ = true, keeps_err_ = true;
  std::chrono::steady_clock::time_point begin_;
  pid_t pid_ = -1;
};

// A folder of its own for each test, in which tern is run.
class CommandTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    folder = (std::filesystem::temp_directory_path() / ("tern_" + std::string(info->test_suite_name()) + "_" +
                                                        info->name() + "_" + std::to_string(::getpid())))
                 .string();
    std::filesystem::create_directories(folder);
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  static std::string binary() { return TERN_BINARY_DIR "/tern"; }
  Ended tern(std::vector<std::string> args, const Surroundings& with = {}) const {
    return Running(folder, binary(), std::move(args), with).wait();
  }
  std::string path(const std::string& name) const { return folder + "/" + name; }

  std::string folder;
};

}  // namespace tern::test
