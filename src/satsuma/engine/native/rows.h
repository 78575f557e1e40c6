/* Steps that treat each row by itself: embedding and layer normalisation. */
#ifndef SATSUMA_ROWS_H
#define SATSUMA_ROWS_H

#include "linear.h"

/* Add each token's word row and position row: (T) -> (T, H). */
static void embed(const struct step *step, const struct batch *batch, int64_t item) {
  const int64_t width = step->in_width, stride = batch->strides[step->output];
  const int64_t start = batch->starts[item], end = batch->starts[item + 1];
  for (int64_t token = start; token < end; token++) {
    const float *word = (const float *)step->weight + batch->token_ids[token] * width;
    const float *position = step->bias + (token - start) * width;
    float *output = batch->buffers[step->output] + token * stride;
    for (int64_t column = 0; column < width; column++) output[column] = word[column] + position[column];
  }
}

/* (x - mean) / sqrt(variance + epsilon) * gain + bias, along a row.
 * Source: Ba et al. 2016, https://arxiv.org/abs/1607.06450 */
static void norm_row(const struct step *step, const float *input, float *output) {
  const int64_t width = step->in_width, whole = width / LANES * LANES;
  const float *gain = step->weight;
  vector sums = splat(0.0f), squares = splat(0.0f);
  float sum = 0.0f, square = 0.0f;
  for (int64_t k = 0; k < whole; k += LANES) sums += load(input + k);
  for (int64_t k = whole; k < width; k++) sum += input[k];
  const float mean = (sum + sum_lanes(sums)) / width;
  for (int64_t k = 0; k < whole; k += LANES) {
    vector centred = load(input + k) - mean;
    squares += centred * centred;
  }
  for (int64_t k = whole; k < width; k++) square += (input[k] - mean) * (input[k] - mean);
  const float variance = (square + sum_lanes(squares)) / width;
  const float factor = 1.0f / __builtin_sqrtf(variance + step->epsilon);
  for (int64_t k = 0; k < width; k++) output[k] = (input[k] - mean) * factor * gain[k] + step->bias[k];
}

static void norm(const struct step *step, const struct batch *batch, int64_t first, int64_t end) {
  for (int64_t row = first; row < end; row++)
    norm_row(step, batch->buffers[step->input] + row * batch->strides[step->input],
             batch->buffers[step->output] + row * batch->strides[step->output]);
}

#endif
