/* Every kernel that this processor runs, beside plain loops in double precision.
 *
 * Each array ends where a page begins that nobody may touch, and another such page lies before it;
 * what is not written yet is NaN. So a step that reads or writes a byte beyond its arrays ends this
 * program, and one that uses what it was not given fails. Prints the largest error of each step as
 * a share of what rounding may cost, and exits with 1 if one is above 1.
 */
#define _GNU_SOURCE
#include "pieces.h"
#include "workers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int64_t list_kernels(const struct kernels **list, int64_t room);

#define MOST_ARRAYS 64

static struct {
  char *pages;
  size_t bytes;
} arrays[MOST_ARRAYS];
static int num_arrays;

static size_t whole_pages(size_t bytes) {
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  return (bytes + page - 1) / page * page;
}

/* An array between two pages that nobody may touch; its end is exact. */
static void *new_array(size_t bytes) {
  const size_t guard = whole_pages(1), body = whole_pages(bytes + 1), total = body + 2 * guard;
  char *pages = mmap(0, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED || num_arrays == MOST_ARRAYS ||
      mprotect(pages + guard, body, PROT_READ | PROT_WRITE))
    abort();
  arrays[num_arrays].pages = pages;
  arrays[num_arrays++].bytes = total;
  memset(pages + guard, 0xff, body);
  return pages + guard + body - bytes;
}

static void free_arrays(void) {
  while (num_arrays--) munmap(arrays[num_arrays].pages, arrays[num_arrays].bytes);
  num_arrays = 0;
}

/* Uniform in -1..1, the same on every machine. */
static float any_float(void) {
  static uint64_t state = 1;
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (float)((double)(state >> 11) / 4503599627370496.0 - 1.0);
}

static float *new_floats(int64_t count, float size) {
  float *values = new_array((size_t)count * sizeof(float));
  for (int64_t i = 0; i < count; i++) values[i] = size * any_float();
  return values;
}

static int64_t round_up(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

static const struct kernels *kernels;
static struct workers *workers; /* NULL: alone */
static int64_t num_workers = 1;
static double worst; /* of the step under test */

static void expect(double found, double wanted, double tolerance) {
  const double share = fabs(found - wanted) / tolerance;
  if (!(share <= worst)) worst = isnan(share) ? INFINITY : share;
}

/* A batch of items; the buffers are those of the test. */
static struct batch new_batch(int64_t num_items, const int64_t *lengths, float *const *buffers,
                              const int64_t *strides) {
  int64_t *starts = new_array((size_t)(num_items + 1) * sizeof(int64_t));
  starts[0] = 0;
  for (int64_t i = 0; i < num_items; i++) starts[i + 1] = starts[i] + lengths[i];
  return (struct batch){.num_tokens = starts[num_items],
                        .num_items = num_items,
                        .starts = starts,
                        .buffers = buffers,
                        .strides = strides};
}

static void run(const struct step *step, struct batch *batch) {
  int64_t longest = 0;
  for (int64_t i = 0; i < batch->num_items; i++) {
    const int64_t length = batch->starts[i + 1] - batch->starts[i];
    longest = length > longest ? length : longest;
  }
  batch->scratch_bytes = kernels->scratch_bytes(step, 1, longest, batch->num_tokens);
  batch->scratch = new_array((size_t)(batch->scratch_bytes * num_workers));
  run_program(workers, kernels, step, 1, batch);
}

/* One product of `rows` x `depth` by `depth` x `columns`. */
struct product {
  int64_t rows, depth, columns;
  int32_t operation, activation;
  int has_residual;
};

/* Where weight (k, column) lies in its panels. */
static int64_t place(struct product product, int64_t k, int64_t column) {
  const int64_t wide = kernels->panel_columns;
  const int64_t group = product.operation == LINEAR_INT8 ? 4 : 1;
  const int64_t depth = round_up(product.depth, group == 4 ? 8 : 1);
  return column / wide * wide * depth + k / group * group * wide + column % wide * group + k % group;
}

/* Weights to the edge of what the kernels say they carry: fours of one sign that add up to it, and
 * to the 2 more that rounding may bring. */
static const void *new_int8_weights(struct product product, float *sums, const float *scales) {
  const int64_t padded = round_up(product.columns, kernels->panel_columns);
  const int64_t bytes = padded * round_up(product.depth, 8);
  int8_t *weights = new_array((size_t)bytes);
  memset(weights, 0, (size_t)bytes);
  for (int64_t column = 0; column < padded; column++) {
    int64_t sum = 0;
    const int sign = any_float() > 0 ? 1 : -1;
    for (int64_t k = 0; k < product.depth && column < product.columns; k++) {
      const int edge = (kernels->quad_limit + 2) / 4;
      const int value = column % 3 ? (int)(edge * any_float()) : sign * edge;
      weights[place(product, k, column)] = (int8_t)value;
      sum += value;
    }
    sums[column] = (float)sum * scales[column];
  }
  return weights;
}

static double activate(double value, int32_t activation) {
  switch (activation) {
    case GELU: return value * 0.5 * (1.0 + erf(value * 0.70710678118654752440));
    case RELU: return value < 0 ? 0 : value;
    case GELU_TANH:
      return value * 0.5 * (1.0 + tanh(0.79788456080286535588 * (value + 0.044715 * pow(value, 3))));
    case SILU: return value / (1.0 + exp(-value));
    case TANH: return tanh(value);
    default: return value;
  }
}

/* Compare one row of a product with a plain loop. */
static void expect_row(struct product product, const struct step *step, const float *input,
                       const float *residual, const float *output) {
  double low = input[0], high = input[0];
  for (int64_t k = 0; k < product.depth; k++) {
    low = input[k] < low ? input[k] : low;
    high = input[k] > high ? input[k] : high;
  }
  for (int64_t column = 0; column < product.columns; column++) {
    double sum = step->bias[column], size = fabs(sum), weight_size = 0;
    for (int64_t k = 0; k < product.depth; k++) {
      const int64_t at = place(product, k, column);
      const double weight = product.operation == LINEAR
                                ? ((const float *)step->weight)[at]
                                : ((const int8_t *)step->weight)[at] * (double)step->scale[column];
      sum += input[k] * weight;
      size += fabs(input[k] * weight);
      weight_size += fabs(weight);
    }
    const double wanted = activate(sum, product.activation) + (residual ? residual[column] : 0);
    double tolerance = 3e-7 * size + 2e-6 * (1 + fabs(wanted));
    if (product.operation == LINEAR_INT8) /* half a quantum of each input */
      tolerance = 1.2 * (tolerance + (high - low) / 255 * 0.502 * weight_size);
    expect(output[column], wanted, tolerance);
  }
}

/* Rows do not depend on their neighbours, nor on who computes them. */
static void expect_same_alone(const struct step *step, const struct batch *batch) {
  const int64_t last = batch->num_tokens - 1, one = 1;
  const int64_t stride = batch->strides[1];
  float *buffers[3], *output = new_floats(stride, 1);
  for (int i = 0; i < 3; i++)
    buffers[i] = batch->buffers[i] ? batch->buffers[i] + last * batch->strides[i] : 0;
  const float *wanted = buffers[1];
  buffers[1] = output;
  struct workers *others = workers;
  workers = 0;
  struct batch single = new_batch(1, &one, buffers, batch->strides);
  run(step, &single);
  workers = others;
  const size_t bytes = (size_t)(step->operation == NORM ? step->in_width : step->out_width) * 4;
  if (memcmp(output, wanted, bytes)) worst = INFINITY;
}

static void test_product(struct product product) {
  const int64_t wide = kernels->panel_columns, padded = round_up(product.columns, wide);
  const int64_t strides[] = {product.depth, padded, padded};
  float *buffers[] = {new_floats(product.rows * strides[0], 1),
                      new_array((size_t)(product.rows * padded) * 4),
                      product.has_residual ? new_floats(product.rows * padded, 1) : 0};
  float *sums = new_floats(padded, 1), *scales = new_floats(padded, 0.01f);
  struct step step = {.operation = product.operation,
                      .activation = product.activation,
                      .input = 0,
                      .output = 1,
                      .residual = product.has_residual ? 2 : -1,
                      .in_width = (int32_t)product.depth,
                      .out_width = (int32_t)product.columns,
                      .bias = new_floats(padded, 1),
                      .scale = scales,
                      .column_sum = sums};
  step.weight = product.operation == LINEAR ? new_floats(padded * product.depth, 1)
                                            : new_int8_weights(product, sums, scales);
  struct batch batch = new_batch(1, &product.rows, buffers, strides);
  run(&step, &batch);
  for (int64_t row = 0; row < product.rows; row++)
    expect_row(product, &step, buffers[0] + row * product.depth,
               product.has_residual ? buffers[2] + row * padded : 0, buffers[1] + row * padded);
  expect_same_alone(&step, &batch);
  free_arrays();
}

static void test_products(int32_t operation) {
  const int64_t rows[] = {1, 2, 3, 5, 6, 7, 12, 13, 23, 97, 530};
  const int64_t depths[] = {1, 3, 4, 33, 64, 769, 1541};
  int number = 0;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (size_t j = 0; j < sizeof depths / sizeof *depths; j++, number++) {
      if (rows[i] > 100 && depths[j] > 800) continue; /* slow under an emulator */
      test_product((struct product){.rows = rows[i],
                                    .depth = depths[j],
                                    .columns = (const int64_t[]){1, 17, 32, 75, 130}[number % 5],
                                    .operation = operation,
                                    .activation = number % 6,
                                    .has_residual = number % 2});
    }
}

/* Where one item's rows lie, and how they are seen. */
struct view {
  const struct step *step;
  const float *rows;
  int64_t stride, length;
  float size; /* of the values, at most */
};

static int sees(const struct step *step, int64_t query, int64_t key) {
  if (step->is_causal && key > query) return 0;
  return !step->window || llabs(query - key) < step->window;
}

/* One head's results for one query. */
static void expect_attention(struct view view, int64_t query, int64_t head, const float *output) {
  const struct step *step = view.step;
  const int64_t width = step->head_width, heads = step->num_heads, kv_heads = step->num_kv_heads;
  const float *queries = view.rows + head * width;
  const float *keys = view.rows + (heads + head / (heads / kv_heads)) * width;
  const float *values = keys + kv_heads * width;
  double *shares = malloc((size_t)view.length * sizeof(double)), peak = -INFINITY, total = 0;
  if (!shares) abort();
  for (int64_t key = 0; key < view.length; key++) {
    shares[key] = sees(step, query, key) ? 0 : -INFINITY;
    for (int64_t d = 0; d < width; d++)
      shares[key] += (double)queries[query * view.stride + d] * keys[key * view.stride + d];
    peak = shares[key] > peak ? shares[key] : peak;
  }
  for (int64_t key = 0; key < view.length; key++) total += shares[key] = exp(shares[key] - peak);
  for (int64_t d = 0; d < width; d++) {
    double sum = 0;
    for (int64_t key = 0; key < view.length; key++)
      sum += shares[key] / total * values[key * view.stride + d];
    expect(output[d], sum, 1e-6 * view.size * (2 + fabs(peak)));
  }
  free(shares);
}

static void test_items(struct step step, float size, int64_t num_items, const int64_t *lengths) {
  const int64_t hidden = step.num_heads * step.head_width;
  const int64_t wide = hidden + 2 * step.num_kv_heads * step.head_width;
  const int64_t strides[] = {round_up(wide, kernels->panel_columns), hidden};
  float *buffers[2];
  struct batch batch = new_batch(num_items, lengths, buffers, strides);
  buffers[0] = new_floats(batch.num_tokens * strides[0], size);
  buffers[1] = new_array((size_t)(batch.num_tokens * strides[1]) * 4);
  step.operation = ATTENTION;
  step.output = 1;
  run(&step, &batch);
  for (int64_t item = 0; item < num_items; item++) {
    const float *rows = buffers[0] + batch.starts[item] * strides[0];
    const struct view view = {&step, rows, strides[0], lengths[item], size};
    for (int64_t query = 0; query < lengths[item]; query++)
      for (int64_t head = 0; head < step.num_heads; head++)
        expect_attention(view, query, head,
                         buffers[1] + (batch.starts[item] + query) * hidden + head * step.head_width);
  }
  free_arrays();
}

static void test_attention(struct step step, float size) {
  const int64_t lengths[] = {1, 2, 7, 16, 33, 131, 5};
  test_items(step, size, 7, lengths);
}

/* So few heads and such lengths that workers share a head's queries. */
static void test_long_attention(struct step step) {
  test_items(step, 1, 1, (const int64_t[]){331});
  test_items(step, 1, 2, (const int64_t[]){3, 260});
}

static void test_attentions(void) {
  for (int32_t width = 1; width < 70; width += 31)
    test_attention((struct step){.num_heads = 3, .num_kv_heads = 3, .head_width = width}, 1);
  test_attention((struct step){.num_heads = 2, .num_kv_heads = 2, .head_width = 16}, 12);
  for (int32_t window = 0; window < 60; window = window * 5 + 1)
    for (int32_t is_causal = 0; is_causal < 2; is_causal++)
      test_attention((struct step){.num_heads = 4,
                                   .num_kv_heads = window ? 2 : 1,
                                   .head_width = 20,
                                   .window = window,
                                   .is_causal = is_causal},
                     1);
  test_long_attention((struct step){.num_heads = 1, .num_kv_heads = 1, .head_width = 20});
  test_long_attention(
      (struct step){.num_heads = 3, .num_kv_heads = 1, .head_width = 20, .window = 40});
}

static void expect_norm(const struct step *step, const float *input, const float *output) {
  const int64_t width = step->in_width;
  double mean = 0, variance = 0;
  for (int64_t k = 0; k < width; k++) mean += (double)input[k] / (double)width;
  for (int64_t k = 0; k < width; k++) variance += pow(input[k] - mean, 2) / (double)width;
  const double factor = 1 / sqrt(variance + step->epsilon);
  for (int64_t k = 0; k < width; k++) {
    const double wanted = (input[k] - mean) * factor * ((const float *)step->weight)[k];
    expect(output[k], wanted + step->bias[k], 2e-6 * (1 + fabs(wanted) + fabs(mean * factor)));
  }
}

static void test_norm(int64_t rows, int64_t width) {
  const int64_t strides[] = {round_up(width, kernels->panel_columns), width, 0};
  float *buffers[] = {new_floats(rows * strides[0], 3), new_array((size_t)(rows * width) * 4), 0};
  struct batch batch = new_batch(1, &rows, buffers, strides);
  const struct step step = {.operation = NORM,
                            .output = 1,
                            .in_width = (int32_t)width,
                            .epsilon = 1e-12f,
                            .weight = new_floats(width, 1),
                            .bias = new_floats(width, 1)};
  run(&step, &batch);
  for (int64_t row = 0; row < rows; row++)
    expect_norm(&step, buffers[0] + row * strides[0], buffers[1] + row * width);
  expect_same_alone(&step, &batch);
  free_arrays();
}

/* In one buffer, as each head's own norm is computed, or into another one with a residual. */
static void test_rms_norm(int64_t rows, int64_t parts, int64_t width, int has_residual) {
  const int64_t whole = parts * width, stride = round_up(whole, kernels->panel_columns);
  const int64_t strides[] = {stride, has_residual ? whole : stride, whole};
  float *input = new_floats(rows * stride, 3), *residual = new_floats(rows * whole, 1);
  float *buffers[] = {input, has_residual ? new_array((size_t)(rows * whole) * 4) : input, residual};
  float *copy = new_floats(rows * stride, 1);
  memcpy(copy, input, (size_t)(rows * stride) * 4);
  struct batch batch = new_batch(1, &rows, buffers, strides);
  const float *gains = new_floats(whole, 1);
  const struct step step = {.operation = RMS_NORM,
                            .output = 1,
                            .residual = has_residual ? 2 : -1,
                            .num_heads = (int32_t)parts,
                            .head_width = (int32_t)width,
                            .epsilon = 1e-6f,
                            .weight = gains};
  run(&step, &batch);
  for (int64_t row = 0; row < rows; row++)
    for (int64_t k = 0; k < whole; k++) {
      double mean = 0;
      for (int64_t i = 0; i < width; i++)
        mean += pow(copy[row * stride + k / width * width + i], 2) / (double)width;
      const double wanted = copy[row * stride + k] / sqrt(mean + step.epsilon) * gains[k];
      const double added = has_residual ? residual[row * whole + k] : 0;
      expect(buffers[1][row * strides[1] + k], wanted + added, 1e-6 * (1 + fabs(wanted)));
    }
  free_arrays();
}

static void test_rotation(int64_t heads, int64_t width) {
  const int64_t lengths[] = {3, 1, 9}, stride = heads * width + 5, half = width / 2;
  float *rows = new_floats(13 * stride, 1), *copy = new_floats(13 * stride, 1);
  memcpy(copy, rows, (size_t)(13 * stride) * 4);
  float *buffers[] = {rows};
  struct batch batch = new_batch(3, lengths, buffers, &stride);
  const float *angles = new_floats(9 * width, 1);
  const struct step step = {.operation = ROTATE,
                            .num_heads = (int32_t)heads,
                            .head_width = (int32_t)width,
                            .weight = angles};
  run(&step, &batch);
  for (int64_t item = 0; item < 3; item++)
    for (int64_t token = batch.starts[item]; token < batch.starts[item + 1]; token++)
      for (int64_t k = 0; k < heads * width; k++) {
        const float *head = copy + token * stride + k / width * width;
        const float *row = angles + (token - batch.starts[item]) * width;
        const int64_t i = k % half, is_right = k % width >= half;
        const double other = is_right ? head[i] : -head[half + i];
        expect(rows[token * stride + k], head[k % width] * (double)row[i] + other * row[half + i], 1e-6);
      }
  free_arrays();
}

static void test_gate(int64_t rows, int64_t width, int32_t activation) {
  const int64_t stride = 2 * width + 3;
  float *values = new_floats(rows * stride, 9), *copy = new_floats(rows * stride, 1);
  memcpy(copy, values, (size_t)(rows * stride) * 4);
  float *buffers[] = {values};
  struct batch batch = new_batch(1, &rows, buffers, &stride);
  const struct step step = {
      .operation = GATE, .in_width = (int32_t)width, .activation = activation};
  run(&step, &batch);
  for (int64_t row = 0; row < rows; row++)
    for (int64_t k = 0; k < width; k++) {
      const float *from = copy + row * stride;
      const double wanted = activate(from[k], activation) * from[width + k];
      expect(values[row * stride + k], wanted, 1e-6 * (9 + fabs(wanted)));
    }
  free_arrays();
}

static void test_embedding(int64_t width, int has_positions) {
  const int64_t lengths[] = {3, 1, 9}, strides[] = {round_up(width, kernels->panel_columns)};
  float *buffers[] = {new_array((size_t)(13 * strides[0]) * 4)};
  struct batch batch = new_batch(3, lengths, buffers, strides);
  int64_t *ids = new_array(13 * sizeof(int64_t));
  for (int64_t token = 0; token < 13; token++) ids[token] = token * 7 % 11;
  batch.token_ids = ids;
  const float *words = new_floats(11 * width, 1), *positions = new_floats(9 * width, 1);
  const struct step step = {.operation = EMBED,
                            .in_width = (int32_t)width,
                            .weight = words,
                            .bias = has_positions ? positions : 0};
  run(&step, &batch);
  for (int64_t item = 0; item < 3; item++)
    for (int64_t token = batch.starts[item]; token < batch.starts[item + 1]; token++)
      for (int64_t k = 0; k < width; k++)
        expect(buffers[0][token * strides[0] + k],
               words[ids[token] * width + k] +
                   (has_positions ? positions[(token - batch.starts[item]) * width + k] : 0),
               1e-7);
  free_arrays();
}

/* Texts of random letters, long words among them, in arrays without a byte to spare. */
static void test_pieces(int64_t num_texts, int64_t max_tokens) {
  static const char letters[] = "aabbAB  !\t[\x01\xc3";
  const int64_t piece_ends[] = {1, 3, 4, 5, 7}, piece_ids[] = {10, 11, 12, 13, 14};
  const int64_t frame[] = {1, 2};
  struct vocabulary *vocabulary = make_vocabulary((const uint8_t *)"aab!bbb", piece_ends, piece_ids,
                                                  3, 5, 0, 200, 1, frame, 1, 1);
  int64_t *ends = new_array((size_t)num_texts * sizeof *ends), total = 0;
  for (int64_t i = 0; i < num_texts; i++)
    ends[i] = total += i % 3 ? (int64_t)(30 * fabsf(any_float())) : 400 * (i & 1);
  uint8_t *text = new_array((size_t)total);
  for (int64_t i = 0; i < total; i++) {
    const int any = (int)((float)(sizeof letters - 2) * fabsf(any_float()));
    text[i] = i % 1000 < 500 ? 'a' : (uint8_t)letters[any];
  }
  int64_t *ids = new_array((size_t)(num_texts * max_tokens) * sizeof *ids), read = 0;
  int64_t *told = new_array((size_t)(2 * num_texts) * sizeof *told);
  read_texts(vocabulary, text, ends, num_texts, max_tokens, ids, told);
  for (int64_t i = 0; i < num_texts; i++) {
    const int64_t count = told[2 * i];
    if (count < 0) continue;
    if (count < 2 || count > max_tokens || ids[read] != 1 || ids[read + count - 1] != 2) worst = 2;
    read += count;
  }
  free_vocabulary(vocabulary);
  free_arrays();
}

static int is_failed;

static void report(const char *step) {
  const int is_good = worst <= 1;
  printf("%s, %d workers, %s: %.2f of the tolerance%s\n", kernels->name, (int)num_workers, step,
         worst, is_good ? "" : ": FAILED");
  is_failed |= !is_good;
  worst = 0;
}

static void test_everything(void) {
  test_products(LINEAR);
  report("linear");
  test_products(LINEAR_INT8);
  report("int8 linear");
  test_attentions();
  report("attention");
  for (int64_t width = 1; width < 1100; width = width * 3 + 2) test_norm(width % 7 + 1, width);
  test_norm(61, 384);
  report("norm");
  for (int64_t width = 1; width < 300; width = width * 3 + 2) {
    test_rms_norm(width % 5 + 1, 1, width, 1);
    test_rms_norm(width % 5 + 1, 3, width, 0);
  }
  report("root mean square norm");
  for (int64_t width = 2; width < 140; width = width * 3 + 2) test_rotation(3, width);
  report("rotation");
  for (int64_t width = 1; width < 300; width = width * 3 + 2) {
    test_gate(7, width, SILU);
    test_gate(7, width, GELU_TANH);
    test_gate(1, width, GELU);
  }
  report("gate");
  test_embedding(1, 1);
  test_embedding(37, 1);
  test_embedding(37, 0);
  report("embedding");
  for (int64_t max_tokens = 2; max_tokens < 300; max_tokens = max_tokens * 3 + 1)
    test_pieces(40, max_tokens);
  report("pieces");
}

int main(void) {
  setvbuf(stdout, 0, _IOLBF, BUFSIZ); /* a step that ends this program has its forerunners printed */
  const struct kernels *found[16];
  const int64_t count = list_kernels(found, 16);
  for (int64_t helpers = 0; helpers < 4; helpers += 3) {
    workers = helpers ? start_workers(helpers) : 0;
    num_workers = helpers + 1;
    for (int64_t i = 0; i < count; i++) {
      kernels = found[i];
      test_everything();
    }
    if (workers) stop_workers(workers);
  }
  return is_failed;
}
