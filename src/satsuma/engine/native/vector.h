/* Vectors of the widest kind that this compilation may use, and the functions of a transformer.
 *
 * The compiler's own vector types serve every instruction set; only the int8 product needs more.
 * `a * b + c` becomes one fused multiply-add (-ffp-contract=fast), the same in every kernel, so that
 * a row's value never depends on where in a microbatch it lies.
 */
#ifndef SATSUMA_VECTOR_H
#define SATSUMA_VECTOR_H

#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#define LANES 16
#define STRIP_ROWS 12
#define PANEL_VECTORS 2
#elif defined(__AVX2__)
#define LANES 8
#define STRIP_ROWS 6
#define PANEL_VECTORS 2
#elif defined(__ARM_NEON)
#define LANES 4
#define STRIP_ROWS 6
#define PANEL_VECTORS 4
#else
#define LANES 4
#define STRIP_ROWS 4
#define PANEL_VECTORS 2
#endif
#define PANEL_COLUMNS (LANES * PANEL_VECTORS)

/* Strips at the end of a microbatch have fewer rows. */
#if STRIP_ROWS == 4
#define FOR_EACH_HEIGHT(of) of(1) of(2) of(3) of(4)
#elif STRIP_ROWS == 6
#define FOR_EACH_HEIGHT(of) of(1) of(2) of(3) of(4) of(5) of(6)
#elif STRIP_ROWS == 12
#define FOR_EACH_HEIGHT(of) \
  of(1) of(2) of(3) of(4) of(5) of(6) of(7) of(8) of(9) of(10) of(11) of(12)
#endif

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")
/* Before a loop that writes with gaps: left to itself, the compiler scatters vectors, which takes
 * processors longer than a store for each value. */
#define ONE_BY_ONE _Pragma("clang loop vectorize(disable)")

typedef float vector __attribute__((vector_size(LANES * 4)));
typedef int32_t vector_int __attribute__((vector_size(LANES * 4)));
typedef float loose_vector __attribute__((vector_size(LANES * 4), aligned(4)));

INLINE vector load(const float *from) { return *(const loose_vector *)from; }
INLINE void store(float *to, vector value) { *(loose_vector *)to = value; }
INLINE vector splat(float value) { return (vector){} + value; }
INLINE vector at_least(vector value, float bound) {
  return __builtin_elementwise_max(value, splat(bound));
}
INLINE vector at_most(vector value, float bound) {
  return __builtin_elementwise_min(value, splat(bound));
}
/* The lesser and the greater, lane by lane, in one instruction: the compiler's own take three, for a
 * NaN beside a number would give the number. Here `other` stays unless `one` is beyond it. */
INLINE vector lesser(vector one, vector other) {
  UNROLL for (int lane = 0; lane < LANES; lane++)
    other[lane] = one[lane] < other[lane] ? one[lane] : other[lane];
  return other;
}
INLINE vector greater(vector one, vector other) {
  UNROLL for (int lane = 0; lane < LANES; lane++)
    other[lane] = one[lane] > other[lane] ? one[lane] : other[lane];
  return other;
}

static inline int64_t smaller(int64_t one, int64_t other) { return one < other ? one : other; }
static inline int64_t round_up(int64_t value, int64_t unit) {
  return (value + unit - 1) / unit * unit;
}

INLINE float sum_lanes(vector value) {
  float total = 0;
  for (int lane = 0; lane < LANES; lane++) total += value[lane];
  return total;
}

/* e^x for x <= 0, to 1e-7 relative; below -87 it is e^-87.
 * x = n ln 2 + r with |r| <= ln 2 / 2, and e^r a polynomial fitted to its relative error. */
INLINE vector exponential(vector x) {
  x = at_least(x, -87.0f);
  const vector magic = splat(12582912.0f); /* 1.5 * 2^23: adding it rounds to a whole number */
  vector shifted = x * 1.44269504f + magic;
  vector whole = shifted - magic;
  vector r = x - whole * 0.693359375f;
  r = r + whole * 2.12194440e-4f;
  vector power = splat(0.001383684459142387f);
  power = power * r + 0.008374815806746483f;
  power = power * r + 0.04166822507977486f;
  power = power * r + 0.16666419804096222f;
  power = power * r + 0.49999991059303284f;
  power = power * r + 1.0f;
  power = power * r + 1.0f;
  vector_int exponent = ((vector_int)shifted - (vector_int)magic) << 23;
  return (vector)((vector_int)power + exponent);
}

/* The error function to 4e-7: x P(x^2) / Q(x^2), fitted on [-4, 4], beyond which it is 1 to 2e-8. */
INLINE vector error_function(vector x) {
  x = at_most(at_least(x, -4.0f), 4.0f);
  vector square = x * x;
  vector over = splat(1.9745357349165715e-06f);
  over = over * square + 0.00028802116867154837f;
  over = over * square + 0.0040036700665950775f;
  over = over * square + 0.053467489778995514f;
  over = over * square + 0.19625234603881836f;
  over = over * square + 1.128378987312317f;
  vector under = splat(3.747673690668307e-05f);
  under = under * square + 0.00121632672380656f;
  under = under * square + 0.015444490127265453f;
  under = under * square + 0.11647742241621017f;
  under = under * square + 0.5072552561759949f;
  under = under * square + 1.0f;
  return x * over / under;
}

/* 1 / (1 + e^-x). Of e^-|x|, which cannot overflow. */
INLINE vector sigmoid(vector x) {
  const vector power = exponential(__builtin_elementwise_min(x, -x));
  const vector_int is_negative = x < 0.0f;
  const vector_int over = (is_negative & (vector_int)power) | (~is_negative & (vector_int)splat(1.0f));
  return (vector)over / (power + 1.0f);
}

INLINE vector hyperbolic_tangent(vector x) { return sigmoid(x * 2.0f) * 2.0f - 1.0f; }

/* GELU with a tangent in the error function's place, which is x sigmoid(2u). */
INLINE vector gelu_tanh(vector x) {
  return x * sigmoid(x * 1.5957691216057308f * (x * x * 0.044715f + 1.0f));
}

/* Source: Elfwing et al. 2017, https://arxiv.org/abs/1702.03118 */
INLINE vector silu(vector x) { return x * sigmoid(x); }

/* x Phi(x), the exact GELU. Source: Hendrycks and Gimpel, https://arxiv.org/abs/1606.08415 */
INLINE vector gelu(vector x) {
  vector half = x * 0.5f;
  return half * error_function(x * 0.70710678118654752f) + half;
}

#endif
