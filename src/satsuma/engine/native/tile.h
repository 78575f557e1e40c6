/* The innermost loop of a float product: a strip of rows times a panel of columns, in registers.
 *
 * A strip is [K][STRIP_ROWS], a panel [K][PANEL_COLUMNS]. One pass of the loop loads
 * PANEL_VECTORS vectors and does STRIP_ROWS * PANEL_VECTORS multiply-adds, enough independent ones
 * to hide their latency. Source of the scheme: Goto and van de Geijn 2008,
 * https://doi.org/10.1145/1356052.1356053
 */
#ifndef SATSUMA_TILE_H
#define SATSUMA_TILE_H

#include "program.h"
#include "vector.h"

/* Rows of a panel that one pass of the loop takes. A core that two threads share issues half as many
 * instructions for each, so that the loop must hold little beside its multiply-adds. */
#define ROWS_AT_ONCE 4

#define LINE_BYTES 64
#define LINES_AT_ONCE (ROWS_AT_ONCE * PANEL_COLUMNS * (int)sizeof(float) / LINE_BYTES)

/* What each pass of the loop asks memory for while a tile is computed: `lines` places, `pace` bytes
 * apart, going on from `next`. */
struct wish {
  const char *next;
  int64_t pace;
  int lines;
};

/* Ask for nothing new: a place that is near already. */
INLINE struct wish no_wish(const void *near) { return (struct wish){near, 0, 1}; }

/* Strips pass a panel of `passes` passes, each over `lines` cache lines, and memory is to bring the
 * next panel meanwhile. So the last `lines` strips ask for a part each, a line in each pass; where
 * there are fewer, each asks for more. */
INLINE struct wish wish_of(const char *next_panel, int64_t passes, int lines, int64_t strip,
                           int64_t num_strips) {
  const int64_t part = strip - (num_strips - lines);
  if (num_strips < lines)
    return (struct wish){next_panel + strip * passes * lines * LINE_BYTES / num_strips,
                         LINE_BYTES / num_strips, lines};
  if (part < 0) return no_wish(next_panel);
  return (struct wish){next_panel + part * passes * LINE_BYTES, LINE_BYTES, 1};
}

INLINE struct wish ask(struct wish wish, int lines) {
  UNROLL for (int line = 0; line < lines; line++) __builtin_prefetch(wish.next + line * wish.pace);
  return (struct wish){wish.next + lines * wish.pace, wish.pace, lines};
}

/* What becomes of a tile's sums. */
struct finish {
  const float *bias;     /* of the panel's columns; NULL before the last part of the sum */
  const float *residual; /* at the tile's corner; NULL for none */
  int64_t residual_stride;
  int activation;
  int is_later_part; /* add to what an earlier part of the sum left in the output */
};

INLINE vector activate(vector value, int activation) {
  if (activation == GELU) return gelu(value);
  if (activation == RELU) return at_least(value, 0.0f);
  if (activation == GELU_TANH) return gelu_tanh(value);
  if (activation == SILU) return silu(value);
  if (activation == TANH) return hyperbolic_tangent(value);
  return value;
}

/* Bias, activation and residual, once the sums of a tile are whole. */
INLINE void finish_rows(int rows, float *restrict output, int64_t stride, struct finish finish,
                        int activation) {
  for (int row = 0; row < rows; row++, output += stride) {
    UNROLL for (int column = 0; column < PANEL_COLUMNS; column += LANES)
      store(output + column,
            activate(load(output + column) + load(finish.bias + column), activation));
    if (!finish.residual) continue;
    UNROLL for (int column = 0; column < PANEL_COLUMNS; column += LANES)
      store(output + column, load(output + column) + load(finish.residual + column));
    finish.residual += finish.residual_stride;
  }
}

static __attribute__((noinline)) void finish_tile(int rows, float *restrict output, int64_t stride,
                                                  const struct finish *finish) {
  switch (finish->activation) {
    case GELU: finish_rows(rows, output, stride, *finish, GELU); break;
    case RELU: finish_rows(rows, output, stride, *finish, RELU); break;
    case GELU_TANH: finish_rows(rows, output, stride, *finish, GELU_TANH); break;
    case SILU: finish_rows(rows, output, stride, *finish, SILU); break;
    case TANH: finish_rows(rows, output, stride, *finish, TANH); break;
    default: finish_rows(rows, output, stride, *finish, IDENTITY);
  }
}

/* sums += the next rows of the panel, each times the strip's values beside it. */
INLINE void add_products(int rows, int num_rows, const float *restrict strip,
                         const float *restrict panel, vector sums[STRIP_ROWS][PANEL_VECTORS]) {
  UNROLL for (int k = 0; k < num_rows; k++, strip += STRIP_ROWS, panel += PANEL_COLUMNS) {
    vector columns[PANEL_VECTORS];
    UNROLL for (int column = 0; column < PANEL_VECTORS; column++)
      columns[column] = load(panel + column * LANES);
    UNROLL for (int row = 0; row < rows; row++)
      UNROLL for (int column = 0; column < PANEL_VECTORS; column++)
        sums[row][column] += strip[row] * columns[column];
  }
}

/* sums += the panel's columns times the strip's rows. `lines` are known when this is compiled. */
INLINE void add_panel(int rows, int lines, const float *restrict strip, const float *restrict panel,
                      int64_t depth, vector sums[STRIP_ROWS][PANEL_VECTORS], struct wish wish) {
  const float *end = panel + depth * PANEL_COLUMNS;
  const float *most = end - depth % ROWS_AT_ONCE * PANEL_COLUMNS;
  for (; panel < most; panel += ROWS_AT_ONCE * PANEL_COLUMNS, strip += ROWS_AT_ONCE * STRIP_ROWS) {
    wish = ask(wish, lines);
    add_products(rows, ROWS_AT_ONCE, strip, panel, sums);
  }
  for (; panel < end; panel += PANEL_COLUMNS, strip += STRIP_ROWS)
    add_products(rows, 1, strip, panel, sums);
}

INLINE void multiply_tile(int rows, const float *restrict strip, const float *restrict panel,
                          int64_t depth, float *restrict output, int64_t stride,
                          const struct finish *finish, struct wish wish) {
  vector sums[STRIP_ROWS][PANEL_VECTORS];
  UNROLL for (int row = 0; row < rows; row++) {
    UNROLL for (int column = 0; column < PANEL_VECTORS; column++) sums[row][column] = (vector){};
    __builtin_prefetch(output + row * stride, 1);
    if (finish->residual) __builtin_prefetch(finish->residual + row * finish->residual_stride);
  }
  if (wish.lines == 1) add_panel(rows, 1, strip, panel, depth, sums, wish);
  else add_panel(rows, LINES_AT_ONCE, strip, panel, depth, sums, wish);
  UNROLL for (int row = 0; row < rows; row++)
    UNROLL for (int column = 0; column < PANEL_VECTORS; column++) {
      float *place = output + row * stride + column * LANES;
      store(place, finish->is_later_part ? load(place) + sums[row][column] : sums[row][column]);
    }
  if (finish->bias) finish_tile(rows, output, stride, finish);
}

/* One function for each number of rows, so that the compiler keeps the sums in registers. */
typedef void tile_function(const float *, const float *, int64_t, float *, int64_t,
                           const struct finish *, struct wish);
#define TILE(rows)                                                                             \
  static __attribute__((noinline)) void multiply_tile_##rows(                                  \
      const float *strip, const float *panel, int64_t depth, float *output, int64_t stride,    \
      const struct finish *finish, struct wish wish) {                                         \
    multiply_tile(rows, strip, panel, depth, output, stride, finish, wish);                    \
  }
FOR_EACH_HEIGHT(TILE)

#define TILE_NAME(rows) multiply_tile_##rows,
static tile_function *const tiles[] = {0, FOR_EACH_HEIGHT(TILE_NAME)};

/* Lay `rows` x `depth` values out as strips; rows beyond the end are left as they are. */
static void pack_strips(const float *restrict from, int64_t stride, int64_t rows, int64_t depth,
                        float *restrict strips) {
  int64_t first = 0;
  for (; first + STRIP_ROWS <= rows; first += STRIP_ROWS) {
    const float *source = from + first * stride;
    ONE_BY_ONE for (int64_t k = 0; k < depth; k++, strips += STRIP_ROWS)
      UNROLL for (int row = 0; row < STRIP_ROWS; row++) strips[row] = source[row * stride + k];
  }
  for (int64_t k = 0; k < depth && first<rows; k++, strips += STRIP_ROWS)
    for (int64_t row = first; row < rows; row++) strips[row - first] = from[row * stride + k];
}
#endif
