#pragma once
// The pieces of the batch triplet loss that batch_triplet_loss.cpp puts together: all triplets at vector
// speed, and the two forms of du_i = sum_j S_ij (u_i - u_j): from the matrix of coefficients by a matrix
// product, from a list of terms by gathering.

#include "tern/ops/batch_triplet_loss.h"

namespace tern::cpu {

BatchTripletTerms all_triplets(const BatchTripletGeometry& g, const float* u, const int64_t* labels);

void dense_gradient(const BatchTripletGeometry& g, const Tensor& u, const BatchTripletTerms& terms,
                    const Tensor& scale, const Tensor& du);
void listed_gradient(const BatchTripletGeometry& g, const Tensor& u, const BatchTripletTerms& terms,
                     const Tensor& scale, const Tensor& du);

}  // namespace tern::cpu
