/* A linear layer over packed weights: output = activation(input W + b) + residual.
 *
 * (T, K) x (K, N) -> (T, N). Blocks of DEPTH keep a panel in the second-level cache while every
 * strip of the block passes it.
 */
#ifndef SATSUMA_LINEAR_H
#define SATSUMA_LINEAR_H

#include "tile.h"
#include "tile_int8.h"

#define DEPTH 768      /* rows of a panel that are multiplied before the next strip */
#define BLOCK_ROWS 516 /* rows that pass a panel; a whole number of strips for 6 and 12 */

/* So few rows are divided by columns among workers, and packing them takes as long as some panels:
 * the whole input stays packed for the step's next task. */
#define KEPT_ROWS 48

static int keeps_rows(int64_t num_tokens) { return num_tokens <= KEPT_ROWS; }

static int64_t count_panels(int64_t columns) {
  return (columns + PANEL_COLUMNS - 1) / PANEL_COLUMNS;
}

static int64_t count_strips(int64_t rows) { return (rows + STRIP_ROWS - 1) / STRIP_ROWS; }

/* Rows and panels that one task computes. */
struct part {
  int64_t first_row, end_row, first_panel, end_panel;
};

static void linear_block(const struct step *step, const struct batch *batch, struct part part,
                         int64_t first_k, int is_packed, float *strips) {
  const int64_t depth = smaller(step->in_width - first_k, DEPTH);
  const int64_t in_stride = batch->strides[step->input], stride = batch->strides[step->output];
  const int64_t num_rows = part.end_row - part.first_row, num_strips = count_strips(num_rows);
  const int is_last = first_k + depth == step->in_width;
  const float *residual = is_last && step->residual >= 0 ? batch->buffers[step->residual] : 0;
  struct finish finish = {.activation = step->activation, .is_later_part = first_k > 0};
  finish.residual_stride = residual ? batch->strides[step->residual] : 0;

  if (!is_packed)
    pack_strips(batch->buffers[step->input] + part.first_row * in_stride + first_k, in_stride,
                num_rows, depth, strips);
  for (int64_t panel = part.first_panel; panel < part.end_panel; panel++) {
    const int64_t column = panel * PANEL_COLUMNS;
    const float *weights =
        (const float *)step->weight + column * step->in_width + first_k * PANEL_COLUMNS;
    finish.bias = is_last ? step->bias + column : 0;
    for (int64_t strip = 0; strip < num_strips; strip++) {
      const int64_t row = part.first_row + strip * STRIP_ROWS;
      const int64_t rows = smaller(part.end_row - row, STRIP_ROWS);
      finish.residual = residual ? residual + row * finish.residual_stride + column : 0;
      tiles[rows](strips + strip * STRIP_ROWS * depth, weights, depth,
                  batch->buffers[step->output] + row * stride + column, stride, &finish,
                  wish_of((const char *)(weights + step->in_width * PANEL_COLUMNS),
                          depth / ROWS_AT_ONCE, LINES_AT_ONCE, strip, num_strips));
    }
  }
}

static void int8_block(const struct step *step, const struct batch *batch, struct part part,
                       int is_packed, char *scratch) {
  const int64_t width = round_up(step->in_width, TWO_GROUPS), groups = width / GROUP;
  const int64_t num_rows = part.end_row - part.first_row, num_strips = count_strips(num_rows);
  const int64_t in_stride = batch->strides[step->input], stride = batch->strides[step->output];
  const float *residual = step->residual >= 0 ? batch->buffers[step->residual] : 0;
  struct finish finish = {.activation = step->activation};
  finish.residual_stride = residual ? batch->strides[step->residual] : 0;
  struct row_scale *scales = (struct row_scale *)scratch;
  uint8_t *strips = (uint8_t *)(scales + BLOCK_ROWS);

  if (!is_packed)
    quantize_strips(batch->buffers[step->input] + part.first_row * in_stride, in_stride, num_rows,
                    step->in_width, width, strips, scales);
  for (int64_t panel = part.first_panel; panel < part.end_panel; panel++) {
    const int64_t column = panel * PANEL_COLUMNS;
    const int8_t *weights = (const int8_t *)step->weight + column * width;
    finish.bias = step->bias + column;
    for (int64_t strip = 0; strip < num_strips; strip++) {
      const int64_t row = strip * STRIP_ROWS, rows = smaller(num_rows - row, STRIP_ROWS);
      float *output = batch->buffers[step->output] + (part.first_row + row) * stride + column;
      finish.residual =
          residual ? residual + (part.first_row + row) * finish.residual_stride + column : 0;
      for (int64_t i = 0; residual && i < rows; i++)
        __builtin_prefetch(finish.residual + i * finish.residual_stride);
      tiles_int8[rows]((const int32_t *)(strips + row * width), (const int32_t *)weights, groups,
                       output, stride, scales + row, step->scale + column,
                       step->column_sum + column,
                       wish_of((const char *)(weights + PANEL_COLUMNS * width), groups / 2,
                               INT8_LINES_AT_ONCE, strip, num_strips));
      finish_tile(rows, output, stride, &finish);
    }
  }
}

static void linear(const struct step *step, const struct batch *batch, struct part part,
                   struct note *note, char *scratch) {
  const int64_t num_rows = part.end_row - part.first_row;
  const int is_kept = keeps_rows(batch->num_tokens) && num_rows == batch->num_tokens;
  const int is_packed = is_kept && note->packed == step;
  const int64_t kept_rows = is_kept ? round_up(batch->num_tokens, STRIP_ROWS) : 0;
  note->packed = is_kept ? step : 0;
  for (int64_t row = part.first_row; row < part.end_row; row += BLOCK_ROWS) {
    struct part block = part;
    block.first_row = row;
    block.end_row = smaller(row + BLOCK_ROWS, part.end_row);
    if (step->operation == LINEAR_INT8) int8_block(step, batch, block, is_packed, scratch);
    for (int64_t k = 0; k < step->in_width && step->operation == LINEAR; k += DEPTH)
      linear_block(step, batch, block, k, is_packed, (float *)scratch + k * kept_rows);
  }
}

static int64_t linear_scratch_bytes(const struct step *step, int64_t num_tokens) {
  const int64_t rows = smaller(round_up(num_tokens, STRIP_ROWS), BLOCK_ROWS);
  const int64_t depth = keeps_rows(num_tokens) ? step->in_width : smaller(step->in_width, DEPTH);
  if (step->operation == LINEAR) return rows * depth * 4;
  return BLOCK_ROWS * sizeof(struct row_scale) + rows * round_up(step->in_width, TWO_GROUPS);
}

#endif
