/* Attention within each item, head by head: no token sees another item's.
 *
 * Of rows of queries, keys and values, each (T, its heads * D), to (T, heads * D). The queries come
 * scaled. Several heads of queries may share one of keys and values. The scores of one strip of
 * queries at a time exist, so memory grows with an item's length, not with its square; what a strip
 * cannot see, behind it or beyond a window, is not computed. L tokens of the item, D width of a head.
 * Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762
 */
#ifndef SATSUMA_ATTENTION_H
#define SATSUMA_ATTENTION_H

#include "linear.h"

/* What one head of one item needs for a while. */
struct head {
  int64_t length, width, padded_length, padded_width;
  const float *query; /* the item's first row */
  int64_t stride;     /* of query, key and value rows */
  float *keys;        /* panels [L / columns][D][columns] */
  float *values;      /* panels [D / columns][L][columns] */
  float *queries;     /* one strip [D][STRIP_ROWS] */
  float *scores;      /* (STRIP_ROWS, padded_length) */
  float *shares;      /* one strip [L][STRIP_ROWS]: the softmax of the scores */
  float *result;      /* (STRIP_ROWS, padded_width) */
};

static int64_t head_floats(int64_t length, int64_t width) {
  const int64_t padded_length = round_up(length, PANEL_COLUMNS);
  const int64_t padded_width = round_up(width, PANEL_COLUMNS);
  return padded_length * width + length * padded_width + STRIP_ROWS * width +
         STRIP_ROWS * padded_length + STRIP_ROWS * length + STRIP_ROWS * padded_width;
}

static struct head lay_out_head(int64_t length, int64_t width, const float *query, int64_t stride,
                                float *scratch) {
  struct head head = {.length = length, .width = width, .query = query, .stride = stride};
  head.padded_length = round_up(length, PANEL_COLUMNS);
  head.padded_width = round_up(width, PANEL_COLUMNS);
  head.keys = scratch;
  head.values = head.keys + head.padded_length * width;
  head.queries = head.values + length * head.padded_width;
  head.scores = head.queries + STRIP_ROWS * width;
  head.shares = head.scores + STRIP_ROWS * head.padded_length;
  head.result = head.shares + STRIP_ROWS * length;
  return head;
}

#define SQUARE 4
typedef float four __attribute__((vector_size(SQUARE * 4), aligned(4)));

/* Write four rows' next four values as four columns'. */
INLINE void turn_square(const float *from, int64_t stride, float *to) {
  const four a = *(const four *)from, b = *(const four *)(from + stride);
  const four c = *(const four *)(from + 2 * stride), d = *(const four *)(from + 3 * stride);
  const four ab = __builtin_shufflevector(a, b, 0, 4, 1, 5);
  const four cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
  const four later_ab = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const four later_cd = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  *(four *)to = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
  *(four *)(to + PANEL_COLUMNS) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
  *(four *)(to + 2 * PANEL_COLUMNS) = __builtin_shufflevector(later_ab, later_cd, 0, 1, 4, 5);
  *(four *)(to + 3 * PANEL_COLUMNS) = __builtin_shufflevector(later_ab, later_cd, 2, 3, 6, 7);
}

/* Keys as panels of columns: a transposition. Columns beyond the end become 0. */
static void pack_keys(const struct head *head, const float *key) {
  for (int64_t first = 0; first < head->padded_length; first += SQUARE) {
    const float *rows = key + first * head->stride;
    float *columns = head->keys + first / PANEL_COLUMNS * PANEL_COLUMNS * head->width +
                     first % PANEL_COLUMNS;
    int64_t d = 0;
    if (first + SQUARE <= head->length)
      for (; d + SQUARE <= head->width; d += SQUARE)
        turn_square(rows + d, head->stride, columns + d * PANEL_COLUMNS);
    for (; d < head->width; d++)
      for (int64_t row = 0; row < SQUARE; row++)
        columns[d * PANEL_COLUMNS + row] =
            first + row < head->length ? rows[row * head->stride + d] : 0.0f;
  }
}

static void pack_values(const struct head *head, const float *value) {
  for (int64_t first = 0; first < head->padded_width; first += PANEL_COLUMNS) {
    float *panel = head->values + first * head->length;
    const int64_t columns = smaller(head->width - first, PANEL_COLUMNS);
    for (int64_t row = 0; row < head->length; row++, panel += PANEL_COLUMNS) {
      const float *source = value + row * head->stride + first;
      if (columns == PANEL_COLUMNS) memcpy(panel, source, PANEL_COLUMNS * sizeof(float));
      else for (int64_t d = 0; d < PANEL_COLUMNS; d++) panel[d] = d < columns ? source[d] : 0.0f;
    }
  }
}

/* The keys that a token sees: from the first to before the end. */
struct span {
  int64_t first, end;
};

static struct span find_span(const struct step *step, int64_t length, int64_t token) {
  const int64_t reach = step->window ? step->window : length;
  const int64_t first = token - reach + 1, end = step->is_causal ? token + 1 : token + reach;
  return (struct span){first > 0 ? first : 0, smaller(end, length)};
}

/* Turn one row of scores into shares that sum to 1, written with the strip's spacing. The scores
 * lie in whole panels; `seen` says which of them count, and shares are written up to `num_keys`. */
static void softmax_row(float *scores, struct span seen, int64_t num_keys, int64_t padded_keys,
                        float *shares) {
  vector peaks = splat(scores[seen.first]);
  for (int64_t k = 0; k < seen.first; k++) scores[k] = -1e30f;
  for (int64_t k = seen.end; k < padded_keys; k++) scores[k] = -1e30f;
  for (int64_t k = 0; k < padded_keys; k += LANES)
    peaks = greater(load(scores + k), peaks);
  float peak = peaks[0];
  for (int lane = 1; lane < LANES; lane++) peak = peaks[lane] > peak ? peaks[lane] : peak;
  vector totals = splat(0.0f);
  for (int64_t k = 0; k < padded_keys; k += LANES) {
    vector power = exponential(load(scores + k) - peak);
    store(scores + k, power);
    totals += power;
  }
  const float factor = 1.0f / sum_lanes(totals);
  for (int64_t k = 0; k < seen.first; k++) shares[k * STRIP_ROWS] = 0.0f;
  ONE_BY_ONE for (int64_t k = seen.first; k < seen.end; k++) shares[k * STRIP_ROWS] = scores[k] * factor;
  for (int64_t k = seen.end; k < num_keys; k++) shares[k * STRIP_ROWS] = 0.0f;
}

/* One strip of queries, over the panels that hold what its first to its last row see. */
static void attend_strip(const struct step *step, const struct head *head, int64_t first,
                         float *output, int64_t stride) {
  const struct finish plain = {0};
  const int64_t rows = smaller(head->length - first, STRIP_ROWS);
  const int64_t start = find_span(step, head->length, first).first / PANEL_COLUMNS * PANEL_COLUMNS;
  const int64_t num_keys = find_span(step, head->length, first + rows - 1).end - start;
  const int64_t padded_keys = round_up(num_keys, PANEL_COLUMNS);
  pack_strips(head->query + first * head->stride, head->stride, rows, head->width, head->queries);
  for (int64_t k = 0; k < padded_keys; k += PANEL_COLUMNS)
    tiles[rows](head->queries, head->keys + (start + k) * head->width, head->width,
                head->scores + k, padded_keys, &plain, no_wish(head->queries));
  for (int64_t row = 0; row < rows; row++) {
    const struct span seen = find_span(step, head->length, first + row);
    softmax_row(head->scores + row * padded_keys, (struct span){seen.first - start, seen.end - start},
                num_keys, padded_keys, head->shares + row);
  }
  for (int64_t d = 0; d < head->padded_width; d += PANEL_COLUMNS)
    tiles[rows](head->shares, head->values + d * head->length + start * PANEL_COLUMNS, num_keys,
                head->result + d, head->padded_width, &plain, no_wish(head->shares));
  for (int64_t row = 0; row < rows; row++)
    memcpy(output + (first + row) * stride, head->result + row * head->padded_width,
           head->width * sizeof(float));
}

/* One head of one item, for its queries from `first` to before `end`. */
static void attend(const struct step *step, const struct batch *batch, int64_t item,
                   int64_t number, int64_t first, int64_t end, char *scratch) {
  if (first >= end) return;
  const int64_t start = batch->starts[item], length = batch->starts[item + 1] - start;
  const int64_t heads = step->num_heads, kv_heads = step->num_kv_heads, width = step->head_width;
  const int64_t stride = batch->strides[step->input], out_stride = batch->strides[step->output];
  const float *row = batch->buffers[step->input] + start * stride;
  const float *key = row + (heads + number / (heads / kv_heads)) * width;
  struct head head = lay_out_head(length, width, row + number * width, stride, (float *)scratch);
  pack_keys(&head, key);
  pack_values(&head, key + kv_heads * width);
  float *output = batch->buffers[step->output] + start * out_stride + number * width;
  for (; first < end; first += STRIP_ROWS) attend_strip(step, &head, first, output, out_stride);
}

#endif
