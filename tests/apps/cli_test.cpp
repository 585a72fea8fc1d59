// What the command line refuses, how it says so, and what it prints.

#include <gtest/gtest.h>

#include "tests/apps/faces.h"

namespace tern::test {
namespace {

using Words = std::vector<std::string>;

class Cli : public CommandTest {
 protected:
  // The exit code, words that the error text holds, nothing on standard output, and no file made or changed.
  void refuses(const Words& args, int code, const Words& says) const {
    const auto before = files_before();
    const Ended run = tern(args);
    std::string line;
    for (const auto& arg : args) line += arg + " ";
    EXPECT_EQ(run.code, code) << line << "\n" << run.err;
    EXPECT_EQ(run.out, "") << line;
    EXPECT_EQ(run.err.rfind("error: ", 0), 0U) << line << "\n" << run.err;
    EXPECT_EQ(run.err.find_first_of("\x1b\r"), std::string::npos) << line;
    for (const auto& words : says)
      EXPECT_NE(run.err.find(words), std::string::npos) << line << "\n" << run.err;
    EXPECT_EQ(files_before(), before) << line;
  }
  std::map<std::string, std::string> files_before() const {
    auto files = files_of(folder);
    files.erase(".out"), files.erase(".err");
    return files;
  }
};

TEST_F(Cli, UnknownWordsGetTheNearestKnownOne) {
  refuses({"trian"}, 2, {"unknown command 'trian'", "did you mean train?"});
  refuses({"data", "synt", "x"}, 2, {"data: unknown command 'synt'", "did you mean synth?"});
  refuses({"train", "--bach-size", "3"}, 2,
          {"train: unknown option --bach-size", "did you mean --batch-size?"});
  refuses({"data", "synth", "x", "--sizes=3"}, 2, {"data synth: unknown option --sizes", "--size?"});
  refuses({"train", "--mining", "batchhard"}, 2, {"'batchhard' is not one of", "did you mean batch-hard?"});
  refuses({"bench", "gem"}, 2, {"'gem' is not one of", "did you mean gemm?"});
  refuses({"qqqqqq"}, 2, {"unknown command 'qqqqqq'", "tern --help"});
  refuses({"-x"}, 2, {"unknown option -x"});
  refuses({"tr\x1b[31main"}, 2, {"unknown command 'tr\\x1b[31main'"});
}

TEST_F(Cli, NumbersAreStrict) {
  for (const std::string value : {"nan", "inf", "-inf", "1e999", "abc", "0.1x", "", "-1"})
    refuses({"train", "--lr=" + value}, 2, {"--lr"});
  refuses({"train", "--lr", "nan"}, 2, {"--lr: 'nan' is not a number from 1e-12 to 1000"});
  refuses({"train", "--max-steps", "1.5"}, 2, {"--max-steps: '1.5' is not a whole number from 1 to"});
  refuses({"train", "--batch-size=-3"}, 2, {"--batch-size: '-3' is not a whole number from 0 to"});
  refuses({"train", "--batch-size=6"}, 2, {"--batch-size 6 is not a multiple of 4"});
  refuses({"train", "--margin", "nan"}, 2, {"--margin 'nan'"});
  refuses({"train", "--channels", "2"}, 2, {"--channels"});
  refuses({"--threads", "many", "info"}, 2, {"--threads: 'many'"});
}

TEST_F(Cli, ArgumentsThatAreMissingOrTooMany) {
  refuses({"train", "--lr"}, 2, {"train: --lr needs a value: --lr N"});
  refuses({"train", "--name", "--json"}, 2, {"train: --name needs a value"});
  refuses({"train", "--lr", "1", "--learning-rate", "2"}, 2, {"is given twice"});
  refuses({"train", "--json=3"}, 2, {"--json takes no value"});
  refuses({"train", "extra"}, 2, {"train: unexpected argument 'extra'"});
  refuses({"verify", "m", "a"}, 2, {"verify: the argument B is missing", "tern verify [OPTIONS] MODEL A B"});
  refuses({"verify", "m", "a", "b", "c"}, 2, {"verify: unexpected argument 'c'"});
  refuses({"triplet", "m", "a", "b"}, 2, {"triplet: the argument NEGATIVE is missing"});
  refuses({"data"}, 2, {"data: a command is missing", "synth, check, split"});
  refuses({"data", "split", "x"}, 2, {"data split: --out is missing"});
  refuses({"train", "--identities", "x"}, 2, {"--data"});
}

TEST_F(Cli, TheDeviceThatIsNotThere) {
  refuses({"--device", "cuda", "info"}, 8, {"CUDA", "--device cpu"});
  refuses({"train", "--device", "cuda"}, 8, {"CUDA", "--device cpu"});
  refuses({"bench", "gemm", "--device", "cuda"}, 8, {"CUDA", "--device cpu"});
  refuses({"bench", "gemm", "--precision", "tf32"}, 2, {"tf32", "--device cuda"});
}

TEST_F(Cli, FoldersThatCannotBeTrainedOn) {
  refuses({"train", "--data", "nowhere"}, 3, {"nowhere: No such file or directory", "ROOT/PERSON/PHOTO"});
  write_text(path("file"), "x");
  refuses({"train", "--data", "file"}, 3, {"file: not a folder"});
  write_people(path("one"), 1, 3);
  refuses({"train", "--data", "one"}, 3, {"1 person", "at least 2"});
  std::filesystem::create_directories(path("empty"));
  refuses({"train", "--data", "empty"}, 3, {"0 people"});
  refuses({"train", "--data", "one", "--exclude-identities", "nolist"}, 4, {"nolist"});
}

TEST_F(Cli, ARunDirectoryIsNeverOverwritten) {
  write_text(path("runs/old/notes.txt"), "mine");
  refuses({"train", "--name", "old"}, 2, {"runs/old is not empty"});
  refuses({"demo", "--out", "runs/old"}, 2, {"runs/old"});
  refuses({"data", "synth", "runs/old"}, 2, {"runs/old is not empty"});
  write_text(path("plain"), "mine");
  refuses({"train", "--out", ".", "--name", "plain"}, 2, {"plain"});
  refuses({"demo", "--out", "plain"}, 2, {"plain"});
  refuses({"data", "synth", "plain"}, 2, {"plain"});
  refuses({"train", "--resume", "nowhere"}, 7, {"nowhere"});
}

using LongCli = Cli;  // extrapolating the need takes a second
TEST_F(LongCli, ABatchThatNeedsMoreMemoryThanThereIs) {
  const Ended run =
      tern({"train", "--batch-p", "60000", "--batch-k", "4", "--image-size", "160", "--synthetic-identities",
            "60000", "--synthetic-photos", "4", "--val-split", "0", "--name", "big"});
  EXPECT_EQ(run.code, 5) << run.err;
  EXPECT_NE(run.err.find("MiB"), std::string::npos) << run.err;
  EXPECT_NE(run.err.find("hint: a smaller batch"), std::string::npos) << run.err;
  EXPECT_FALSE(std::filesystem::exists(path("runs/big")));
}

TEST_F(Cli, EveryCommandExplainsItselfWithExamples) {
  const std::vector<Words> commands = {{},         {"demo"},          {"train"},         {"evaluate"},
                                       {"verify"}, {"triplet"},       {"info"},          {"bench"},
                                       {"data"},   {"data", "synth"}, {"data", "check"}, {"data", "split"}};
  for (Words command : commands) {
    std::string line = "tern";
    for (const auto& word : command) line += " " + word;
    command.push_back("--help");
    const Ended run = tern(command);
    EXPECT_EQ(run.code, 0) << line;
    EXPECT_EQ(run.err, "") << line;
    EXPECT_NE(run.out.find("Usage: " + line), std::string::npos) << run.out;
    EXPECT_NE(run.out.find("Examples:\n  tern "), std::string::npos) << run.out;
    for (size_t at = 0, end; at < run.out.size(); at = end + 1) {
      end = std::min(run.out.find('\n', at), run.out.size());
      EXPECT_LE(end - at, 120U) << run.out.substr(at, end - at);
    }
  }
  EXPECT_EQ(tern({"--version"}).out.rfind("tern ", 0), 0U);
  EXPECT_NE(tern({}).out.find("Commands:"), std::string::npos);
}

TEST_F(Cli, OptionsOfEveryCommandStandAnywhere) {
  EXPECT_EQ(tern({"--json", "--threads", "1", "info"}).json()["threads"], "1");
  EXPECT_EQ(tern({"info", "--threads=1", "--json"}).json()["threads"], "1");
}

TEST_F(Cli, AnAnswerThatCannotBeWrittenIsAnError) {
  const Ended run = tern({"info"}, {.out = "/dev/full"});
  EXPECT_EQ(run.code, 4);
  EXPECT_NE(run.err.find("standard output: No space left"), std::string::npos) << run.err;
}

}  // namespace
}  // namespace tern::test
