/* The innermost loop of an int8 product, and the quantisation of a row.
 *
 * Each row gets a scale and an offset of its own, x = low + scale q with q in 0..255, so that a text
 * gives the same bits whatever its neighbours. Weights are signed, a scale each column:
 * sum x w = scale sum q w + low sum w, and the second sum is known beforehand.
 *
 * A strip is [K / 4][STRIP_ROWS][4] bytes, a panel [K / 4][PANEL_COLUMNS][4], K a multiple of 8.
 */
#ifndef SATSUMA_TILE_INT8_H
#define SATSUMA_TILE_INT8_H

#include "tile.h"

#define GROUP 4     /* inputs that one lane multiplies at once */
#define TWO_GROUPS 8 /* and that one pass of the loop takes */
#define INT8_LINES_AT_ONCE (TWO_GROUPS * PANEL_COLUMNS / LINE_BYTES)

typedef int32_t loose_vector_int __attribute__((vector_size(LANES * 4), aligned(4)));
typedef uint8_t vector_bytes __attribute__((vector_size(LANES)));

/* sums[column] += the dot products of two groups of 4 unsigned activations with each column's signed
 * weights. Processors without an instruction for it add products of neighbours in 16 bits, where we
 * add the other group's too: half the multiplications that widen to 32 bits. The weights of
 * QUAD_LIMIT's four places cannot overflow that (packing.py). */
#if defined(__AVX512VNNI__)
#include <immintrin.h>
#define QUAD_LIMIT 508 /* none beyond that of int8 */
INLINE vector_int dot(vector_int sums, int32_t activations, vector_int weights) {
  return (vector_int)_mm512_dpbusd_epi32((__m512i)sums, _mm512_set1_epi32(activations),
                                         (__m512i)weights);
}
#elif defined(__AVXVNNI__)
#include <immintrin.h>
#define QUAD_LIMIT 508 /* none beyond that of int8 */
INLINE vector_int dot(vector_int sums, int32_t activations, vector_int weights) {
  return (vector_int)_mm256_dpbusd_avx_epi32((__m256i)sums, _mm256_set1_epi32(activations),
                                             (__m256i)weights);
}
#elif defined(__AVX512BW__)
#include <immintrin.h>
#define QUAD_LIMIT 126 /* 255 * (126 + 2 of rounding) < 2^15 */
#define ADDS_IN_16_BITS
INLINE vector_int dot_two(vector_int sums, int32_t first, vector_int first_weights,
                          int32_t second, vector_int second_weights) {
  __m512i pairs = _mm512_add_epi16(
      _mm512_maddubs_epi16(_mm512_set1_epi32(first), (__m512i)first_weights),
      _mm512_maddubs_epi16(_mm512_set1_epi32(second), (__m512i)second_weights));
  return sums + (vector_int)_mm512_madd_epi16(pairs, _mm512_set1_epi16(1));
}
#elif defined(__AVX2__)
#include <immintrin.h>
#define QUAD_LIMIT 126 /* 255 * (126 + 2 of rounding) < 2^15 */
#define ADDS_IN_16_BITS
INLINE vector_int dot_two(vector_int sums, int32_t first, vector_int first_weights,
                          int32_t second, vector_int second_weights) {
  __m256i pairs = _mm256_add_epi16(
      _mm256_maddubs_epi16(_mm256_set1_epi32(first), (__m256i)first_weights),
      _mm256_maddubs_epi16(_mm256_set1_epi32(second), (__m256i)second_weights));
  return sums + (vector_int)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}
#elif defined(__ARM_FEATURE_DOTPROD)
#include <arm_neon.h>
#define QUAD_LIMIT 508
#define SIGNED_ACTIVATIONS /* q - 128 is what lies in the strips */
INLINE vector_int dot(vector_int sums, int32_t activations, vector_int weights) {
  return (vector_int)vdotq_s32((int32x4_t)sums, (int8x16_t)vdupq_n_s32(activations),
                               (int8x16_t)weights);
}
#else
#define QUAD_LIMIT 508
INLINE vector_int dot(vector_int sums, int32_t activations, vector_int weights) {
  for (int shift = 0; shift < 32; shift += 8)
    sums += ((weights << (24 - shift)) >> 24) * ((activations >> shift) & 255);
  return sums;
}
#endif

#ifndef ADDS_IN_16_BITS
INLINE vector_int dot_two(vector_int sums, int32_t first, vector_int first_weights,
                          int32_t second, vector_int second_weights) {
  return dot(dot(sums, first, first_weights), second, second_weights);
}
#endif

/* What turns a row's integer sums back into floats. */
struct row_scale {
  float scale, low;
};

/* sums += the products of the next two groups of inputs. */
INLINE void add_two_groups(int rows, const int32_t *restrict strip, const int32_t *restrict panel,
                           vector_int sums[STRIP_ROWS][PANEL_VECTORS]) {
  const int32_t *next_strip = strip + STRIP_ROWS, *next_panel = panel + PANEL_COLUMNS;
  UNROLL for (int row = 0; row < rows; row++)
    UNROLL for (int column = 0; column < PANEL_VECTORS; column++)
      sums[row][column] = dot_two(sums[row][column], strip[row],
                                  *(const loose_vector_int *)(panel + column * LANES),
                                  next_strip[row],
                                  *(const loose_vector_int *)(next_panel + column * LANES));
}

/* As add_panel. */
INLINE void add_panel_int8(int rows, int lines, const int32_t *restrict strip,
                           const int32_t *restrict panel, int64_t groups,
                           vector_int sums[STRIP_ROWS][PANEL_VECTORS], struct wish wish) {
  const int32_t *end = panel + groups * PANEL_COLUMNS;
  for (; panel < end; panel += 2 * PANEL_COLUMNS, strip += 2 * STRIP_ROWS) {
    wish = ask(wish, lines);
    add_two_groups(rows, strip, panel, sums);
  }
}

INLINE void multiply_tile_int8(int rows, const int32_t *restrict strip,
                               const int32_t *restrict panel, int64_t groups,
                               float *restrict output, int64_t stride,
                               const struct row_scale *row_scales, const float *column_scales,
                               const float *column_sums, struct wish wish) {
  vector_int sums[STRIP_ROWS][PANEL_VECTORS];
  UNROLL for (int row = 0; row < rows; row++) {
    UNROLL for (int column = 0; column < PANEL_VECTORS; column++) sums[row][column] = (vector_int){};
    __builtin_prefetch(output + row * stride, 1);
  }
  if (wish.lines == 1) add_panel_int8(rows, 1, strip, panel, groups, sums, wish);
  else add_panel_int8(rows, INT8_LINES_AT_ONCE, strip, panel, groups, sums, wish);
  UNROLL for (int row = 0; row < rows; row++)
    UNROLL for (int column = 0; column < PANEL_VECTORS; column++) {
      vector scaled = __builtin_convertvector(sums[row][column], vector) * row_scales[row].scale;
      vector offset = row_scales[row].low * load(column_sums + column * LANES);
      /* Said in full: left to itself, the compiler may fuse the other product in another height. */
      store(output + row * stride + column * LANES,
            __builtin_elementwise_fma(scaled, load(column_scales + column * LANES), offset));
    }
}

typedef void tile_int8_function(const int32_t *, const int32_t *, int64_t, float *, int64_t,
                                const struct row_scale *, const float *, const float *,
                                struct wish);
#define TILE_INT8(rows)                                                                        \
  static __attribute__((noinline)) void multiply_tile_int8_##rows(                             \
      const int32_t *strip, const int32_t *panel, int64_t groups, float *output,               \
      int64_t stride, const struct row_scale *row_scales, const float *column_scales,          \
      const float *column_sums, struct wish wish) {                                            \
    multiply_tile_int8(rows, strip, panel, groups, output, stride, row_scales, column_scales,  \
                       column_sums, wish);                                                     \
  }
FOR_EACH_HEIGHT(TILE_INT8)

#define TILE_INT8_NAME(rows) multiply_tile_int8_##rows,
static tile_int8_function *const tiles_int8[] = {0, FOR_EACH_HEIGHT(TILE_INT8_NAME)};

/* Find a row's range: (K) -> scale and low. */
static struct row_scale measure_row(const float *row, int64_t width) {
  vector least = splat(row[0]), most = least;
  const int64_t whole = width / LANES * LANES;
  for (int64_t k = 0; k < whole; k += LANES) {
    least = lesser(load(row + k), least);
    most = greater(load(row + k), most);
  }
  float low = least[0], high = most[0];
  for (int lane = 1; lane < LANES; lane++) {
    low = least[lane] < low ? least[lane] : low;
    high = most[lane] > high ? most[lane] : high;
  }
  for (int64_t k = whole; k < width; k++) {
    low = row[k] < low ? row[k] : low;
    high = row[k] > high ? row[k] : high;
  }
  return (struct row_scale){(high - low) / 255.0f, low};
}

/* Rounding may put a row's greatest value just beyond 255. */
INLINE vector to_byte(vector value) { return at_most(at_least(value, 0.0f), 255.0f); }

/* Write q of one row into its place in a strip: every STRIP_ROWS * 4 bytes, 4 inputs. */
static void quantize_row(const float *row, int64_t width, struct row_scale range, uint8_t *strip) {
  const float factor = range.scale > 0 ? 1.0f / range.scale : 0.0f;
  const float shift = 0.5f - range.low * factor;
  int64_t k = 0;
  for (; k + LANES <= width; k += LANES) {
    vector_bytes bytes = __builtin_convertvector(
        __builtin_convertvector(to_byte(load(row + k) * factor + shift), vector_int), vector_bytes);
    UNROLL for (int part = 0; part < LANES; part += GROUP)
      memcpy(strip + (k + part) * STRIP_ROWS, (const char *)&bytes + part, GROUP);
  }
  for (; k < round_up(width, TWO_GROUPS); k++)
    strip[k / GROUP * GROUP * STRIP_ROWS + k % GROUP] =
        k < width ? (uint8_t)to_byte(splat(row[k] * factor + shift))[0] : 0;
}

/* Quantise rows into strips, and keep their scales. */
static void quantize_strips(const float *from, int64_t stride, int64_t rows, int64_t width,
                            int64_t padded_width, uint8_t *strips, struct row_scale *scales) {
  for (int64_t row = 0; row < rows; row++) {
    uint8_t *strip = strips + row / STRIP_ROWS * STRIP_ROWS * padded_width +
                     row % STRIP_ROWS * GROUP;
    scales[row] = measure_row(from + row * stride, width);
    quantize_row(from + row * stride, width, scales[row], strip);
  }
#ifdef SIGNED_ACTIVATIONS
  for (int64_t i = 0; i < round_up(rows, STRIP_ROWS) * padded_width; i++) strips[i] ^= 128;
  for (int64_t row = 0; row < rows; row++) scales[row].low += 128.0f * scales[row].scale;
#endif
}

#endif
