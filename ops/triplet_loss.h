#pragma once
// The two forms of the triplet loss: on given triplets, and on a labelled batch that it mines itself. Read
// ops/triplet_margin_loss.h first.

#include "tern/ops/batch_triplet_loss.h"
#include "tern/ops/triplet_margin_loss.h"
