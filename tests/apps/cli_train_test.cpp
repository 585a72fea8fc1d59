// Training through the binary: what it prints and writes, that it can be killed, interrupted and resumed at
// any time, and that neither threads nor workers change a byte of a checkpoint.

#include <gtest/gtest.h>

#include <sys/ioctl.h>

#include <algorithm>
#include <set>
#include <sstream>
#include <thread>
#include <utility>

#include "tern/core/error.h"
#include "tests/apps/faces.h"

namespace tern::test {
namespace {

namespace stdfs = std::filesystem;
using Words = std::vector<std::string>;

class LongCliTrain : public CommandTest {
 protected:
  // Eight people of whom two are held out; a step takes some ten milliseconds.
  static Words train(const std::string& name, const Words& more = {}) {
    Words args = {"train", "--synthetic-identities", "8", "--image-size", "32", "--name", name};
    args.insert(args.end(), more.begin(), more.end());
    return args;
  }
  std::map<std::string, std::string> checkpoints(const std::string& name) const {
    return files_of(path("runs/" + name + "/checkpoints"));
  }
  static std::string last(int step) { return concat_text("step-00000", step, ".safetensors"); }
  static std::string last_state(int step) { return concat_text("step-00000", step, ".state.safetensors"); }
};

TEST_F(LongCliTrain, PrintsOneObjectAndPlainLines) {
  const Ended run = tern(train("a", {"--max-steps", "4", "--json"}));
  ASSERT_EQ(run.code, 0) << run.err;
  const auto result = run.json();
  for (const char* key : {"best_metric", "best_checkpoint", "last_checkpoint", "steps", "images_per_s"})
    EXPECT_TRUE(result.contains(key)) << key;
  EXPECT_EQ(result["steps"], 4);
  EXPECT_TRUE(stdfs::exists(path(result["last_checkpoint"])));
  EXPECT_EQ(run.err.find_first_of("\x1b\r"), std::string::npos) << run.err;
  EXPECT_NE(run.err.find("step 4/4"), std::string::npos) << run.err;
  for (const char* file : {"config.toml", "manifest.json", "metrics.jsonl", "log.txt"})
    EXPECT_TRUE(stdfs::exists(path("runs/a/") + file)) << file;
  const std::string model = result["best_checkpoint"];
  EXPECT_EQ(tern({"info", model, "--json"}).json()["architecture"], "face_net");

  const auto before = files_of(path("runs"));
  const Ended again = tern(train("a", {"--max-steps", "4"}));
  EXPECT_EQ(again.code, 2);
  EXPECT_NE(again.err.find("is not empty"), std::string::npos) << again.err;
  EXPECT_EQ(files_of(path("runs")), before);

  const Ended text = tern(train("b", {"--max-steps", "2", "--quiet"}), {.environment = {{"NO_COLOR", "1"}}});
  EXPECT_EQ(text.err, "");
  EXPECT_NE(text.out.find("runs/b/checkpoints/" + last(2) + "\n"), std::string::npos) << text.out;
}

// A terminal of some columns; what was written to it.
class Terminal {
 public:
  explicit Terminal(unsigned short columns) : master_(::posix_openpt(O_RDWR | O_NOCTTY)) {
    if (master_ < 0 || ::grantpt(master_) != 0 || ::unlockpt(master_) != 0) return;
    path = ::ptsname(master_);
    const winsize size{24, columns, 0, 0};
    ::ioctl(master_, TIOCSWINSZ, &size);
    slave_ = ::open(path.c_str(), O_WRONLY | O_NOCTTY);
    reader_ = std::thread([this] {
      char buffer[4096];
      for (ssize_t n; (n = ::read(master_, buffer, sizeof buffer)) > 0;)
        text_.append(buffer, static_cast<size_t>(n));
    });
  }
  ~Terminal() { close(); }
  std::string close() {
    if (slave_ >= 0) ::close(std::exchange(slave_, -1));
    if (reader_.joinable()) reader_.join();
    if (master_ >= 0) ::close(std::exchange(master_, -1));
    return text_;
  }
  std::string path;

 private:
  int master_, slave_ = -1;
  std::thread reader_;
  std::string text_;
};

TEST_F(LongCliTrain, ABarOnATerminalThatFitsIt) {
  const auto shown = [&](const std::string& name, const std::map<std::string, std::string>& environment) {
    Terminal terminal(60);
    EXPECT_FALSE(terminal.path.empty());
    const Ended run = tern(train(name, {"--max-steps", "3"}),
                           {.environment = environment, .out = "", .err = terminal.path});
    EXPECT_EQ(run.code, 0);
    return terminal.close();
  };
  const std::string colored = shown("a", {{"TERM", "xterm"}, {"NO_COLOR", ""}});
  EXPECT_NE(colored.find("\r\x1b[K\x1b[36m["), std::string::npos) << colored;
  const std::string plain = shown("b", {{"TERM", "xterm"}, {"NO_COLOR", "1"}});
  EXPECT_NE(plain.find("\r\x1b[K["), std::string::npos) << plain;
  EXPECT_EQ(plain.find("\x1b[3"), std::string::npos) << plain;
  for (size_t at = plain.find("\x1b[K["); at != std::string::npos; at = plain.find("\x1b[K[", at + 1))
    EXPECT_LT(plain.find_first_of("\r\n", at) - at - 3, 60U) << plain.substr(at + 3, 100);
  const std::string dumb = shown("c", {{"TERM", "dumb"}});
  EXPECT_EQ(dumb.find('\x1b'), std::string::npos) << dumb;
  EXPECT_NE(dumb.find("step 3/3"), std::string::npos) << dumb;
}

TEST_F(LongCliTrain, ThreadsAndWorkersChangeNoByte) {
  std::map<std::string, std::string> expected;
  for (const char* threads : {"1", "2", "3", "4"})
    for (const char* workers : {"0", "4"}) {
      const std::string name = concat_text("t", threads, "w", workers);
      const Ended run = tern(train(name, {"--max-steps", "4", "--threads", threads, "--workers", workers}));
      ASSERT_EQ(run.code, 0) << run.err;
      const auto files = checkpoints(name);
      ASSERT_EQ(files.size(), 2U);
      if (expected.empty()) expected = files;
      EXPECT_TRUE(files == expected) << name << " wrote other bytes";
    }
  const Ended other = tern(train("other", {"--max-steps", "4", "--seed", "2"}));
  ASSERT_EQ(other.code, 0) << other.err;
  EXPECT_FALSE(checkpoints("other") == expected) << "the seed changes nothing";
}

TEST_F(LongCliTrain, ARunBelongsToOneProcessAtATime) {
  Running run(folder, binary(), train("busy", {"--max-steps", "100000", "--save-every", "2"}));
  const std::string state = path("runs/busy/checkpoints/" + last_state(2));
  ASSERT_TRUE(run.wait_until([&] { return stdfs::exists(state); })) << run.err();
  const Ended second = tern({"train", "--resume", "runs/busy"});
  EXPECT_EQ(second.code, 2) << second.err;
  EXPECT_NE(second.err.find("runs/busy is in use by another process"), std::string::npos) << second.err;
  run.signal(SIGTERM);
  EXPECT_EQ(run.wait().code, 143);
  EXPECT_NE(read_text(path("runs/busy/manifest.json")).find("interrupted"), std::string::npos);
}

TEST_F(LongCliTrain, KilledAndResumedIsAsIfNothingHadHappened) {
  const Words steps = {"--max-steps", "9", "--save-every", "2", "--keep", "0"};
  ASSERT_EQ(tern(train("whole", steps)).code, 0);
  {
    Running run(folder, binary(), train("killed", steps));
    const std::string state = path("runs/killed/checkpoints/" + last_state(4));
    ASSERT_TRUE(run.wait_until([&] { return stdfs::exists(state); })) << run.err();
    run.signal(SIGKILL);
    EXPECT_EQ(run.wait().code, 128 + SIGKILL);
  }
  ASSERT_FALSE(stdfs::exists(path("runs/killed/checkpoints/" + last_state(9))))
      << "it was too late to kill it";
  const Ended resumed = tern({"train", "--resume", "runs/killed"});
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_NE(resumed.err.find("resumed at step "), std::string::npos) << resumed.err;
  EXPECT_TRUE(checkpoints("killed") == checkpoints("whole"));
  // Every step is logged once.
  const std::string metrics = read_text(path("runs/killed/metrics.jsonl"));
  std::map<std::string, int> seen;
  std::istringstream lines(metrics);
  for (std::string line; std::getline(lines, line);) {
    const auto entry = nlohmann::json::parse(line);
    ++seen[entry["type"].get<std::string>() + entry["step"].dump()];
  }
  for (const auto& [what, times] : seen) EXPECT_EQ(times, 1) << what;
}

TEST_F(LongCliTrain, InterruptSavesAndExits130) {
  for (const int number : {SIGINT, SIGTERM}) {
    const std::string name = concat_text("i", number);
    Running run(folder, binary(), train(name, {"--max-steps", "100000", "--log-every", "1", "--json"}));
    ASSERT_TRUE(run.wait_until([&] { return run.err().find("step 2/") != std::string::npos; })) << run.err();
    run.signal(number);
    const Ended end = run.wait();
    EXPECT_EQ(end.code, 128 + number) << end.err;
    const auto result = end.json();
    EXPECT_EQ(result["status"], "interrupted");
    EXPECT_EQ(checkpoints(name).size(), 2U);
    EXPECT_EQ(tern({"info", result["last_checkpoint"]}).code, 0);
    const Ended dry = tern({"train", "--resume", "runs/" + name, "--dry-run", "--json"});
    EXPECT_EQ(dry.code, 0) << dry.err;
  }
}

TEST_F(LongCliTrain, AFullDiskLeavesTheOldCheckpoint) {
  ASSERT_EQ(tern(train("a", {"--max-steps", "4", "--save-every", "2", "--keep", "0"})).code, 0);
  const auto whole = checkpoints("a");
  stdfs::remove(path("runs/a/checkpoints/" + last(4)));
  stdfs::remove(path("runs/a/checkpoints/" + last_state(4)));
  const auto before = checkpoints("a");
  ASSERT_EQ(before.size(), 2U);
  const Ended full = tern({"train", "--resume", "runs/a"}, {.file_limit = 100000});
  EXPECT_EQ(full.code, 4) << full.err;
  EXPECT_NE(full.err.find(last(4)), std::string::npos) << full.err;
  EXPECT_TRUE(checkpoints("a") == before) << "the old checkpoint changed, or something was left behind";
  ASSERT_EQ(tern({"train", "--resume", "runs/a"}).code, 0);
  EXPECT_TRUE(checkpoints("a") == whole);

  const Ended synth = tern({"data", "synth", "faces", "--identities", "2", "--photos", "2", "--size", "250"},
                           {.file_limit = 1000});
  EXPECT_EQ(synth.code, 4) << synth.err;
  for (const auto& [name, bytes] : files_of(path("faces"))) ADD_FAILURE() << name << " was left, cut short";
}

TEST_F(LongCliTrain, ResumeRefusesOtherOptionsNamingBothValues) {
  ASSERT_EQ(tern(train("a", {"--max-steps", "2", "--lr", "0.002"})).code, 0);
  const auto before = files_of(path("runs"));
  const auto refuses = [&](const Words& more, int code, const Words& says) {
    Words args = {"train", "--resume", "runs/a"};
    args.insert(args.end(), more.begin(), more.end());
    const Ended run = tern(args);
    EXPECT_EQ(run.code, code) << run.err;
    for (const auto& words : says) EXPECT_NE(run.err.find(words), std::string::npos) << run.err;
  };
  refuses({"--lr", "0.5"}, 2, {"lr is 0.5", "0.002"});
  refuses({"--max-steps", "8"}, 2, {"max-steps is 8", "2"});
  refuses({"--arch", "resnet18"}, 2, {"--arch is resnet18", "face_net"});
  refuses({"--synthetic-identities", "9"}, 2, {"--synthetic-identities is 9", "8"});
  refuses({"--val-split", "0.5"}, 2, {"--val-split is 0.5", "0.1"});
  refuses({"--data", "elsewhere"}, 2, {"elsewhere", "none"});
  EXPECT_TRUE(files_of(path("runs")) == before);
  EXPECT_EQ(tern({"train", "--resume", "runs/a", "--lr", "2e-3", "--workers", "0"}).code, 0);
}

TEST_F(LongCliTrain, PhotosFromAFolder) {
  write_people(path("people"), 6, 3);
  const Ended run =
      tern({"train", "--data", "people", "--image-size", "32", "--max-steps", "2", "--name", "a"});
  ASSERT_EQ(run.code, 0) << run.err;
  const auto manifest = nlohmann::json::parse(read_text(path("runs/a/manifest.json")));
  EXPECT_EQ(manifest["command"], "train");
  write_text(path("people/p0/9.jpg"), "no photo");
  write_text(path("people/p1/9.jpg"), "no photo");
  const Ended bad = tern({"train", "--data", "people", "--image-size", "32", "--max-steps", "8",
                          "--val-split", "0", "--name", "b"});
  EXPECT_EQ(bad.code, 3) << bad.err;
  EXPECT_NE(bad.err.find("9.jpg"), std::string::npos) << bad.err;
  const Ended leak = tern({"train", "--data", "people", "--val-data", "people", "--name", "c"});
  EXPECT_EQ(leak.code, 3) << leak.err;
  EXPECT_FALSE(stdfs::exists(path("runs/c")));
}

TEST_F(LongCliTrain, BenchAnswersInNumbers) {
  const std::vector<std::string> suites = {"bench", "--models", "face_net", "--batch", "2",      "--seconds",
                                           "0.01",  "--rounds", "1",        "gemm",    "conv",   "norm",
                                           "pool",  "overhead", "train",    "infer",   "triplet"};
  auto with_json = suites;
  with_json.push_back("--json");
  const auto bench = tern(with_json).json();
  for (const char* key : {"processor", "isa", "threads", "precision", "batch", "peak_gflops", "peak_gbps"})
    EXPECT_TRUE(bench.contains(key)) << key;
  std::set<std::string> names, answered;
  for (const auto& row : bench["results"]) {
    for (const char* key : {"suite", "name", "median_ms", "min_ms", "max_ms", "rounds"})
      EXPECT_TRUE(row.contains(key)) << row.dump();
    EXPECT_TRUE(names.insert(row["name"]).second) << row["name"] << " comes twice";
    answered.insert(row["suite"].get<std::string>());
    EXPECT_GT(row["min_ms"].get<double>(), 0);
    EXPECT_LE(row["min_ms"].get<double>(), row["median_ms"].get<double>());
    EXPECT_LE(row["median_ms"].get<double>(), row["max_ms"].get<double>());
  }
  EXPECT_EQ(answered.size(), suites.size() - 9);
  for (const char* name : {"gemm f32 1024x1024x1024", "train face_net f32 B=2", "infer face_net f32 B=1"})
    EXPECT_TRUE(names.count(name)) << name;

  std::istringstream table(tern(suites).out);
  for (std::string line; std::getline(table, line);) EXPECT_LE(line.size(), 80) << line;
}

// The tutorial: at most thirty lines of code, and a network that works.
TEST_F(LongCliTrain, HelloSiamese) {
  std::istringstream source(read_text(TERN_SOURCE_DIR "/apps/tutorials/hello_siamese.cpp"));
  int lines = 0;
  for (std::string line; std::getline(source, line);) {
    const size_t at = line.find_first_not_of(" \t");
    lines += at != std::string::npos && line.compare(at, 2, "//") != 0;
  }
  EXPECT_LE(lines, 30);
  const Ended run = Running(folder, TERN_BINARY_DIR "/tutorials/hello_siamese", {}).wait();
  ASSERT_EQ(run.code, 0) << run.err;
  const size_t number = run.out.find("0.");
  ASSERT_NE(number, std::string::npos) << run.out;
  EXPECT_GE(std::stod(run.out.substr(number)), 0.85) << run.out;
  EXPECT_LT(std::stod(run.out.substr(number)), 1.0) << run.out;
}

}  // namespace
}  // namespace tern::test
