/* The engine's vocabulary: a program is a list of steps over a packed microbatch.
 *
 * Python writes the program (program.py) and owns all memory; C allocates nothing but its threads.
 * T tokens, B items, H hidden size, D width of a head. Every buffer is (T, stride) float32 with
 * rows one after another; strides are whole panels, so that no kernel needs an edge case in columns.
 */
#ifndef SATSUMA_PROGRAM_H
#define SATSUMA_PROGRAM_H

#include <stdint.h>

/* What Python sees; everything else is compiled hidden. */
#define EXPORT __attribute__((visibility("default")))

enum operation { EMBED, NORM, LINEAR, LINEAR_INT8, ATTENTION, RMS_NORM, ROTATE, GATE };
enum activation { IDENTITY, GELU, RELU, GELU_TANH, SILU, TANH };

/* One step. Which members mean something depends on the operation. */
struct step {
  int32_t operation;
  int32_t activation;  /* LINEAR: applied after the bias. GATE: to the left half */
  int32_t input;       /* buffer numbers */
  int32_t output;
  int32_t residual;    /* LINEAR, RMS_NORM: added last; -1 for none */
  int32_t in_width;    /* LINEAR: K. NORM, EMBED: H. GATE: of a half */
  int32_t out_width;   /* LINEAR: N */
  int32_t num_heads;   /* ATTENTION: of queries. RMS_NORM, ROTATE: parts of a row */
  int32_t num_kv_heads; /* ATTENTION: of keys, and of values */
  int32_t head_width;  /* ATTENTION, RMS_NORM, ROTATE: D */
  int32_t window;      /* ATTENTION: a token sees those nearer than this; 0 for all */
  int32_t is_causal;   /* ATTENTION: and none behind it */
  float epsilon;       /* NORM, RMS_NORM */
  const void *weight;  /* LINEAR: panels. NORM: gain (H). RMS_NORM: gains (parts, D).
                        * EMBED: word table (V, H). ROTATE: cosines and sines (P, D) */
  const float *bias;   /* LINEAR: (N rounded up). NORM: (H). EMBED: position table (P, H), or NULL */
  const float *scale;        /* LINEAR_INT8: of each output column */
  const float *column_sum;   /* LINEAR_INT8: of each output column's weights, scaled */
};

/* What a program runs on. */
struct batch {
  int64_t num_tokens; /* T */
  int64_t num_items;  /* B */
  const int64_t *token_ids; /* (T) */
  const int64_t *starts;    /* (B + 1): where each item begins; the last entry is T */
  float *const *buffers;    /* by number */
  const int64_t *strides;   /* of each buffer's rows, in floats */
  char *scratch;            /* of the first worker; the others' follow */
  int64_t scratch_bytes;    /* of one worker; see `kernels.scratch_bytes` */
};

/* What a worker's scratch begins with. */
struct note {
  const struct step *packed; /* whose whole input lies packed behind it, for that step's next task */
};
#define NOTE_BYTES 64 /* whole cache lines, so that what follows is aligned */

/* One instruction set's kernels. */
struct kernels {
  const char *name;
  int32_t panel_columns; /* columns of a weight panel */
  int32_t quad_limit;     /* largest sum of four int8 weights of one sign: see packing.py */
  int64_t (*scratch_bytes)(const struct step *steps, int64_t num_steps, int64_t longest,
                           int64_t num_tokens);
  /* How many tasks a step has when `num_workers` share it, and doing one of them. */
  int64_t (*count_tasks)(const struct step *, const struct batch *, int64_t num_workers);
  void (*do_task)(const struct step *, const struct batch *, int64_t num_workers, int64_t task,
                  char *scratch);
};

/* The kernels that this processor runs, fastest first; the last are plain C. Fills at most `room`
 * places and returns how many. */
EXPORT int64_t list_kernels(const struct kernels **list, int64_t room);

#endif
