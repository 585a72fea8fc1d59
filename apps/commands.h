#pragma once
// The commands of tern; each file command_*.cpp adds its own.

#include "tern/apps/cli.h"

namespace tern::app {

void add_demo(Cli& cli);
void add_train(Cli& cli);
void add_evaluate(Cli& cli);
void add_verify(Cli& cli);
void add_triplet(Cli& cli);
void add_data(Cli& cli);
void add_info(Cli& cli);
void add_bench(Cli& cli);

inline void add_commands(Cli& cli) {
  add_demo(cli);
  add_train(cli);
  add_evaluate(cli);
  add_verify(cli);
  add_triplet(cli);
  add_data(cli);
  add_info(cli);
  add_bench(cli);
}

}  // namespace tern::app
