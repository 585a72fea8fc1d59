#pragma once
// What faces say without any learning: two fixed distances that a trained network has to beat by far.
//
//     raw pixels   1 - cos(a, b) on the 32 x 32 grey photo with its mean removed (a constant photo: cos = 0)
//     histogram    chi-square 1/2 sum (h - g)^2 / (h + g) of the 8 x 8 x 8 RGB histograms, each of sum 1
//
// Both are 0 for equal photos; raw pixels reach at most 2, the histogram at most 1. Photos are taken as they
// are given, whole: crop them first if the network's photos are cropped.

#include <cstdint>
#include <functional>
#include <vector>

#include "tern/data/image.h"
#include "tern/metrics/all_pairs.h"

namespace tern::metrics {

double raw_pixel_distance(const Image& a, const Image& b);
double histogram_distance(const Image& a, const Image& b);

// The same for all pairs of `photos` photos: load(i) is called once for each, from many threads, and only the
// features are kept (4 kB a photo for raw pixels, at most 4 kB for the histogram).
using PhotoSource = std::function<Image(int64_t)>;
DistanceRow raw_pixel_distances(int64_t photos, const PhotoSource& load);
DistanceRow histogram_distances(int64_t photos, const PhotoSource& load);

}  // namespace tern::metrics
