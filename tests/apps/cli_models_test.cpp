// tern verify, triplet, evaluate and info: their answers, and what damaged models and photos make of them.

#include <gtest/gtest.h>

#include "tern/core/error.h"
#include "tern/nn/safetensors.h"
#include "tern/nn/state_dict.h"
#include "tests/apps/faces.h"

namespace tern::test {
namespace {

class CliModels : public CommandTest {
 protected:
  void SetUp() override {
    CommandTest::SetUp();
    write_model(path("m.safetensors"));
    for (int i = 0; i < 3; ++i) write_text(path(names[i]), jpeg(i / 2, i));  // a, b: person 0; c: person 1
  }
  void refuses(const std::string& model, const std::string& photo, int code, const std::string& says) const {
    const Ended run = tern({"verify", model, "a.jpg", photo, "--json"});
    EXPECT_EQ(run.code, code) << model << " " << photo << "\n" << run.err;
    EXPECT_EQ(run.out, "");
    EXPECT_NE(run.err.find(says), std::string::npos) << run.err;
  }
  const char* names[3] = {"a.jpg", "b.jpg", "c.jpg"};
};

void expect_keys(const nlohmann::json& object, const std::vector<std::string>& keys) {
  for (const auto& key : keys) EXPECT_TRUE(object.contains(key)) << key << " in " << object.dump();
  EXPECT_EQ(object.size(), keys.size()) << object.dump();
}

TEST_F(CliModels, VerifyAnswersInNumbers) {
  const auto v = tern({"verify", "m.safetensors", "a.jpg", "b.jpg", "--json"}).json();
  expect_keys(v, {"same", "distance", "threshold", "margin", "confidence", "ms"});
  EXPECT_EQ(v["threshold"], 0.5);
  EXPECT_NEAR(v["margin"].get<double>(), 0.5 - v["distance"].get<double>(), 1e-12);
  EXPECT_EQ(v["same"].get<bool>(), v["distance"].get<double>() <= 0.5);
  const auto self = tern({"verify", "m.safetensors", "a.jpg", "a.jpg", "--json"}).json();
  EXPECT_EQ(self["distance"], 0.0);
  EXPECT_EQ(self["same"], true);
  const Ended text = tern({"verify", "m.safetensors", "a.jpg", "a.jpg"});
  EXPECT_EQ(text.out.rfind("same d=0.0000 threshold=0.5000 ", 0), 0U) << text.out;
}

TEST_F(CliModels, NegativeVerdictsAreExitCode1OnlyWhenAsked) {
  const std::vector<std::string> different = {"verify", "m.safetensors", "a.jpg",
                                              "c.jpg",  "--threshold",   "0"};
  EXPECT_EQ(tern(different).code, 0);
  EXPECT_EQ(tern(different).out.rfind("different ", 0), 0U);
  auto asked = different;
  asked.push_back("--exit-code");
  EXPECT_EQ(tern(asked).code, 1);
  EXPECT_EQ(tern({"verify", "m.safetensors", "a.jpg", "a.jpg", "--exit-code"}).code, 0);
  EXPECT_EQ(tern({"triplet", "m.safetensors", "a.jpg", "a.jpg", "a.jpg", "--exit-code"}).code, 1);
}

TEST_F(CliModels, TripletAnswersInNumbers) {
  const auto t = tern({"triplet", "m.safetensors", "a.jpg", "a.jpg", "c.jpg", "--json"}).json();
  expect_keys(t, {"same_person", "negative_is_other", "satisfied", "d_ap", "d_an", "d_pn", "margin",
                  "threshold", "ms"});
  EXPECT_EQ(t["d_ap"], 0.0);
  EXPECT_EQ(t["d_an"], t["d_pn"]);
  EXPECT_EQ(t["same_person"], true);
  EXPECT_EQ(t["margin"], t["d_an"]);
  const auto swapped = tern({"triplet", "m.safetensors", "a.jpg", "c.jpg", "a.jpg", "--json"}).json();
  EXPECT_EQ(swapped["d_ap"], t["d_an"]);
  EXPECT_EQ(swapped["satisfied"], false);
}

TEST_F(CliModels, InfoDescribesWhatItIsGiven) {
  const auto info = [&](const std::string& file) { return tern({"info", file, "--json"}).json(); };
  const auto model = info("m.safetensors");
  EXPECT_EQ(model["kind"], "model");
  EXPECT_EQ(model["architecture"], "face_net");
  EXPECT_EQ(model["threshold"], "0.5");
  EXPECT_EQ(model["checksums"], "all right");
  EXPECT_EQ(info("a.jpg")["kind"], "photo, JPEG");
  write_people(path("people"), 3, 2);
  EXPECT_EQ(info("people")["people"], "3");
  EXPECT_EQ(info("people")["photos"], "6");
  write_text(path("pairs.txt"), "1\nAnna\t1\t2\nAnna\t1\tBert\t1\n");
  EXPECT_EQ(info("pairs.txt")["pairs"], "2");
  write_text(path("names.txt"), "Anna\nBert\nCarl\n");
  EXPECT_EQ(info("names.txt")["kind"], "list of people");
  EXPECT_EQ(info("names.txt")["people"], "3");
}

TEST_F(CliModels, InfoRefusesWhatItDoesNotKnow) {
  write_text(path("bytes"), std::string("\1\0\2", 3));
  EXPECT_EQ(tern({"info", "bytes"}).code, 3);
  write_text(path("bad.txt"), "10\t300\nAnna\t1\n");
  EXPECT_EQ(tern({"info", "bad.txt"}).code, 3);
  EXPECT_EQ(tern({"info", "nowhere"}).code, 4);
  std::string model = read_text(path("m.safetensors"));
  model[model.size() - 9] ^= 4;
  write_text(path("flipped"), model);
  EXPECT_EQ(tern({"info", "flipped"}).code, 7);
  write_text(path("cut"), model.substr(0, 2000));
  EXPECT_EQ(tern({"info", "cut"}).code, 7);
  write_text(path("broken.jpg"), read_text(path("a.jpg")).substr(0, 300));
  EXPECT_EQ(tern({"info", "broken.jpg"}).code, 3);
}

TEST_F(CliModels, EvaluateAnswersInNumbers) {
  write_people(path("people"), 8, 3);
  const auto e = tern({"evaluate", "m.safetensors", "--data", "people", "--folds", "2", "--json"}).json();
  expect_keys(
      e, {"accuracy_mean", "accuracy_std", "accuracy_interval", "accuracy_folds", "auc", "eer", "tar_at_far",
          "threshold", "pairs", "missing", "rank1", "recall_at_1", "map_at_r", "pixel_baseline"});
  EXPECT_EQ(e["accuracy_folds"].size(), 2U);
  EXPECT_EQ(e["missing"], 0);
  EXPECT_EQ(tern({"evaluate", "m.safetensors", "--pairs", "p.txt"}).code, 2);
}

TEST_F(CliModels, EvaluateTakesListsOfPeopleAndPairs) {
  write_people(path("people"), 8, 3);
  write_text(path("four.txt"), "p0\np1\np2\np3\n");
  const auto some =
      tern({"evaluate", "m.safetensors", "--data", "people", "--identities", "four.txt", "--folds", "2"});
  EXPECT_NE(some.out.find("12 photos of 4 people"), std::string::npos) << some.out << some.err;
  const auto rest = tern(
      {"evaluate", "m.safetensors", "--data", "people", "--exclude-identities", "four.txt", "--folds", "2"});
  EXPECT_NE(rest.out.find("12 photos of 4 people"), std::string::npos) << rest.out << rest.err;
}

TEST_F(CliModels, PhotosThatAreNone) {
  const std::string good = jpeg(0, 0);
  write_text(path("half.jpg"), good.substr(0, good.size() / 2));
  refuses("m.safetensors", "half.jpg", 3, "half.jpg");
  std::string corrupt = good;
  for (size_t i = good.size() / 2; i < good.size() / 2 + 40; ++i) corrupt[i] = static_cast<char>(0xFF);
  write_text(path("corrupt.jpg"), corrupt);
  refuses("m.safetensors", "corrupt.jpg", 3, "corrupt.jpg");
  write_text(path("huge.jpg"), with_size(good, 65500, 65500));
  refuses("m.safetensors", "huge.jpg", 3, "65500");
  write_text(path("text.jpg"), "Dear reader, this is no photo.\n");
  refuses("m.safetensors", "text.jpg", 3, "text.jpg");
  write_text(path("empty.jpg"), "");
  refuses("m.safetensors", "empty.jpg", 3, "empty.jpg");
  refuses("m.safetensors", "nowhere.jpg", 4, "nowhere.jpg: cannot open: No such file or directory");
  refuses("m.safetensors", ".", 3, "not a regular file");
}

TEST_F(CliModels, ModelFilesThatAreDamaged) {
  const std::string good = read_text(path("m.safetensors"));
  write_text(path("half.safetensors"), good.substr(0, good.size() / 2));
  refuses("half.safetensors", "b.jpg", 7, "half.safetensors");
  std::string flipped = good;
  flipped[good.size() - 1000] = static_cast<char>(flipped[good.size() - 1000] ^ 4);
  write_text(path("flipped.safetensors"), flipped);
  refuses("flipped.safetensors", "b.jpg", 7, "flipped.safetensors");
  refuses("a.jpg", "b.jpg", 7, "a.jpg");
  refuses("nowhere.safetensors", "b.jpg", 4, "No such file");
}

TEST_F(CliModels, ModelsOfAnotherArchitecture) {
  ModelCard card = small_card();
  const auto model = make_model(card.spec, 1);
  card.spec.arch = "resnet18";
  save_model(path("other.safetensors"), *model, card);
  refuses("other.safetensors", "b.jpg", 7, "other.safetensors");
  card.spec.arch = "no_net";
  save_model(path("unknown.safetensors"), *model, card);
  refuses("unknown.safetensors", "b.jpg", 7, "no_net");
  nn::save_safetensors(path("plain.safetensors"), nn::state_dict(*model), {});
  refuses("plain.safetensors", "b.jpg", 7, "tern.arch");
  const Ended start = tern({"train", "--arch", "resnet18", "--image-size", "32", "--synthetic-identities",
                            "8", "--init-from", "m.safetensors", "--name", "x"});
  EXPECT_EQ(start.code, 7) << start.err;
  EXPECT_FALSE(std::filesystem::exists(path("runs/x")));
}

TEST_F(CliModels, WatchAnswersForEachTrio) {
  for (const char* role : {"anchor", "positive", "negative"}) {
    write_text(path("in/first/") + role + ".jpg", jpeg(0, 0));
    write_text(path("in/bad-") + role + ".jpg", "no photo");
  }
  Running watching(folder, binary(), {"triplet", "m.safetensors", "--watch", "in", "--json"});
  const auto lines = [&] {
    const std::string out = watching.out();
    return std::count(out.begin(), out.end(), '\n');
  };
  ASSERT_TRUE(watching.wait_until([&] { return lines() == 2; })) << watching.out() << watching.err();
  write_text(path("in/late-anchor.JPG"), jpeg(0, 0));
  write_text(path("in/late-positive.jpg"), jpeg(0, 1));
  write_text(path("in/note.txt"), "no trio");
  write_text(path("in/late-negative.jpg"), jpeg(1, 0));
  ASSERT_TRUE(watching.wait_until([&] { return lines() == 3; })) << watching.out() << watching.err();
  watching.signal(SIGINT);
  const Ended end = watching.wait();
  EXPECT_EQ(end.code, 130);
  std::istringstream text(end.out);
  std::map<std::string, nlohmann::json> answers;
  for (std::string line; std::getline(text, line);) {
    const auto answer = nlohmann::json::parse(line);
    answers[answer["name"]] = answer;
  }
  ASSERT_EQ(answers.size(), 3U) << end.out;
  EXPECT_EQ(answers["first"]["d_an"], 0.0);
  EXPECT_EQ(answers["first"]["satisfied"], false);
  EXPECT_TRUE(answers["bad"]["error"].is_string());
  EXPECT_GT(answers["late"]["d_ap"].get<double>(), 0);
  EXPECT_EQ(tern({"triplet", "m.safetensors", "--watch", "nowhere"}).code, 3);
  EXPECT_EQ(tern({"triplet", "m.safetensors", "a.jpg", "--watch", "in"}).code, 2);
}

TEST_F(CliModels, DataCommandsAnswerInNumbers) {
  const auto made =
      tern({"data", "synth", "faces", "--identities", "6", "--photos", "2", "--size", "32", "--json"});
  expect_keys(made.json(), {"folder", "people", "photos"});
  const auto check = tern({"data", "check", "faces", "--json"}).json();
  EXPECT_EQ(check["photos"], 12);
  EXPECT_EQ(check["unreadable"], 0);
  expect_keys(tern({"data", "split", "faces", "--fraction", "0.5", "--out", "lists", "--json"}).json(),
              {"train", "held_out"});
  EXPECT_EQ(tern({"data", "check", "faces", "--against", "faces"}).code, 3);
  write_text(path("faces/person_000000/bad.jpg"), "no photo");
  const Ended bad = tern({"data", "check", "faces"});
  EXPECT_EQ(bad.code, 3);
  EXPECT_NE(bad.out.find("unreadable: "), std::string::npos) << bad.out;
}

// In this process, because one for each of the 40,000 lengths would take minutes.
using LongCliModels = CliModels;
TEST_F(LongCliModels, AModelFileTruncatedAnywhereIsRefused) {
  const std::string file = path("m.safetensors");
  const auto size = static_cast<int64_t>(std::filesystem::file_size(file));
  for (int64_t length = (size - 1) / 64 * 64; length >= 0; length -= 64) {
    std::filesystem::resize_file(file, static_cast<uintmax_t>(length));
    try {
      load_model(file);
      FAIL() << "accepted at " << length << " of " << size << " bytes";
    } catch (const Error& error) {
      ASSERT_EQ(error.exit_code(), 7) << length << ": " << error.what();
    }
  }
}

}  // namespace
}  // namespace tern::test
