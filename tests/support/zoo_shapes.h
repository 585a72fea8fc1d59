#pragma once
// Every convolution of the model zoo at the networks' native photo sizes, one image: what a kernel or a
// planner is tried on. tests/models/zoo_shapes_test.cpp checks the list against the networks.

#include <array>

#include "tern/ops/conv2d.h"

namespace tern::test {

struct ZooConv {
  const char* model;
  int count;                                               // times it occurs in the network
  int64_t size, in, out, kernel, stride, padding, groups;  // square photos and filters
};

inline constexpr std::array kZooConvs{
    ZooConv{"face_net", 1, 64, 3, 32, 3, 2, 1, 1},
    ZooConv{"face_net", 1, 32, 32, 48, 1, 2, 0, 1},
    ZooConv{"face_net", 1, 32, 32, 48, 3, 2, 1, 1},
    ZooConv{"face_net", 1, 16, 48, 48, 3, 1, 1, 1},
    ZooConv{"face_net", 1, 16, 48, 96, 1, 2, 0, 1},
    ZooConv{"face_net", 1, 16, 48, 96, 3, 2, 1, 1},
    ZooConv{"face_net", 1, 8, 96, 96, 3, 1, 1, 1},
    ZooConv{"face_net", 1, 8, 96, 128, 1, 2, 0, 1},
    ZooConv{"face_net", 1, 8, 96, 128, 3, 2, 1, 1},
    ZooConv{"face_net", 1, 4, 128, 128, 3, 1, 1, 1},
    ZooConv{"resnet18", 1, 112, 3, 64, 7, 2, 3, 1},
    ZooConv{"resnet18", 4, 28, 64, 64, 3, 1, 1, 1},
    ZooConv{"resnet18", 1, 28, 64, 128, 1, 2, 0, 1},
    ZooConv{"resnet18", 1, 28, 64, 128, 3, 2, 1, 1},
    ZooConv{"resnet18", 3, 14, 128, 128, 3, 1, 1, 1},
    ZooConv{"resnet18", 1, 14, 128, 256, 1, 2, 0, 1},
    ZooConv{"resnet18", 1, 14, 128, 256, 3, 2, 1, 1},
    ZooConv{"resnet18", 3, 7, 256, 256, 3, 1, 1, 1},
    ZooConv{"resnet18", 1, 7, 256, 512, 1, 2, 0, 1},
    ZooConv{"resnet18", 1, 7, 256, 512, 3, 2, 1, 1},
    ZooConv{"resnet18", 3, 4, 512, 512, 3, 1, 1, 1},
    ZooConv{"iresnet18", 1, 112, 3, 64, 3, 1, 1, 1},
    ZooConv{"iresnet18", 1, 112, 64, 64, 1, 2, 0, 1},
    ZooConv{"iresnet18", 1, 112, 64, 64, 3, 1, 1, 1},
    ZooConv{"iresnet18", 1, 112, 64, 64, 3, 2, 1, 1},
    ZooConv{"iresnet18", 2, 56, 64, 64, 3, 1, 1, 1},
    ZooConv{"iresnet18", 1, 56, 64, 128, 1, 2, 0, 1},
    ZooConv{"iresnet18", 1, 56, 64, 128, 3, 1, 1, 1},
    ZooConv{"iresnet18", 1, 56, 128, 128, 3, 2, 1, 1},
    ZooConv{"iresnet18", 2, 28, 128, 128, 3, 1, 1, 1},
    ZooConv{"iresnet18", 1, 28, 128, 256, 1, 2, 0, 1},
    ZooConv{"iresnet18", 1, 28, 128, 256, 3, 1, 1, 1},
    ZooConv{"iresnet18", 1, 28, 256, 256, 3, 2, 1, 1},
    ZooConv{"iresnet18", 2, 14, 256, 256, 3, 1, 1, 1},
    ZooConv{"iresnet18", 1, 14, 256, 512, 1, 2, 0, 1},
    ZooConv{"iresnet18", 1, 14, 256, 512, 3, 1, 1, 1},
    ZooConv{"iresnet18", 1, 14, 512, 512, 3, 2, 1, 1},
    ZooConv{"iresnet18", 2, 7, 512, 512, 3, 1, 1, 1},
    ZooConv{"mobilefacenet", 1, 112, 3, 64, 3, 2, 1, 1},
    ZooConv{"mobilefacenet", 1, 56, 64, 64, 3, 1, 1, 64},
    ZooConv{"mobilefacenet", 1, 56, 64, 128, 1, 1, 0, 1},
    ZooConv{"mobilefacenet", 1, 56, 128, 128, 3, 2, 1, 128},
    ZooConv{"mobilefacenet", 5, 28, 128, 64, 1, 1, 0, 1},
    ZooConv{"mobilefacenet", 4, 28, 64, 128, 1, 1, 0, 1},
    ZooConv{"mobilefacenet", 4, 28, 128, 128, 3, 1, 1, 128},
    ZooConv{"mobilefacenet", 1, 28, 64, 256, 1, 1, 0, 1},
    ZooConv{"mobilefacenet", 1, 28, 256, 256, 3, 2, 1, 256},
    ZooConv{"mobilefacenet", 7, 14, 256, 128, 1, 1, 0, 1},
    ZooConv{"mobilefacenet", 6, 14, 128, 256, 1, 1, 0, 1},
    ZooConv{"mobilefacenet", 6, 14, 256, 256, 3, 1, 1, 256},
    ZooConv{"mobilefacenet", 1, 14, 128, 512, 1, 1, 0, 1},
    ZooConv{"mobilefacenet", 1, 14, 512, 512, 3, 2, 1, 512},
    ZooConv{"mobilefacenet", 1, 7, 512, 128, 1, 1, 0, 1},
    ZooConv{"mobilefacenet", 2, 7, 128, 256, 1, 1, 0, 1},
    ZooConv{"mobilefacenet", 2, 7, 256, 256, 3, 1, 1, 256},
    ZooConv{"mobilefacenet", 2, 7, 256, 128, 1, 1, 0, 1},
    ZooConv{"mobilefacenet", 1, 7, 128, 512, 1, 1, 0, 1},
    ZooConv{"mobilefacenet", 1, 7, 512, 512, 7, 1, 0, 512},
    ZooConv{"mobilefacenet", 1, 1, 512, 128, 1, 1, 0, 1},
    ZooConv{"tiny", 1, 64, 1, 32, 3, 1, 1, 1},
    ZooConv{"tiny", 1, 32, 32, 64, 3, 1, 1, 1},
    ZooConv{"tiny", 1, 16, 64, 128, 3, 1, 1, 1},
    ZooConv{"tiny", 1, 8, 128, 128, 3, 1, 1, 1},
};

inline Conv2dGeometry geometry_of(const ZooConv& z, int64_t batch) {
  const int64_t out_size = (z.size + 2 * z.padding - z.kernel) / z.stride + 1;
  return {.n = batch,
          .h = z.size,
          .w = z.size,
          .c = z.in,
          .o = z.out,
          .kh = z.kernel,
          .kw = z.kernel,
          .out_h = out_size,
          .out_w = out_size,
          .stride = z.stride,
          .padding = z.padding,
          .dilation = 1,
          .groups = z.groups};
}

}  // namespace tern::test
