/* Every kernel that this processor runs, beside plain loops in double precision.
 *
 * Each array ends where a page begins that nobody may touch, and another such page lies before it;
 * what is not written yet is NaN. So a step that reads or writes a byte beyond its arrays ends this
 * program, and one that uses what it was not given fails. Prints the largest error of each step as
 * a share of what rounding may cost, and exits with 1 if one is above 1.
 */
#define _GNU_SOURCE
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
  if (activation == GELU) return value * 0.5 * (1.0 + erf(value * 0.70710678118654752440));
  return activation == RELU && value < 0 ? 0 : value;
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
                                    .activation = number % 3,
                                    .has_residual = number % 2});
    }
}

/* One head's results for one query, of values up to `size`. */
static void expect_attention(const float *rows, int64_t stride, int64_t length, int64_t hidden,
                             int64_t width, int64_t query, float size, const float *output) {
  double *shares = malloc((size_t)length * sizeof(double)), peak = -INFINITY, total = 0;
  if (!shares) abort();
  for (int64_t key = 0; key < length; key++) {
    shares[key] = 0;
    for (int64_t d = 0; d < width; d++)
      shares[key] += (double)rows[query * stride + d] * rows[key * stride + hidden + d];
    peak = shares[key] > peak ? shares[key] : peak;
  }
  for (int64_t key = 0; key < length; key++) total += shares[key] = exp(shares[key] - peak);
  for (int64_t d = 0; d < width; d++) {
    double sum = 0;
    for (int64_t key = 0; key < length; key++)
      sum += shares[key] / total * rows[key * stride + 2 * hidden + d];
    expect(output[d], sum, 1e-6 * size * (2 + fabs(peak)));
  }
  free(shares);
}

static void test_attention(int64_t num_heads, int64_t width, float size) {
  const int64_t lengths[] = {1, 2, 7, 16, 33, 131, 5}, hidden = num_heads * width;
  const int64_t strides[] = {round_up(3 * hidden, kernels->panel_columns), hidden};
  float *buffers[2];
  struct batch batch = new_batch(7, lengths, buffers, strides);
  buffers[0] = new_floats(batch.num_tokens * strides[0], size);
  buffers[1] = new_array((size_t)(batch.num_tokens * strides[1]) * 4);
  const struct step step = {.operation = ATTENTION,
                            .output = 1,
                            .in_width = (int32_t)hidden,
                            .num_heads = (int32_t)num_heads};
  run(&step, &batch);
  for (int64_t item = 0; item < 7; item++)
    for (int64_t query = 0; query < lengths[item]; query++)
      for (int64_t head = 0; head < num_heads; head++)
        expect_attention(buffers[0] + batch.starts[item] * strides[0] + head * width, strides[0],
                         lengths[item], hidden, width, query, size,
                         buffers[1] + (batch.starts[item] + query) * hidden + head * width);
  free_arrays();
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

static void test_embedding(int64_t width) {
  const int64_t lengths[] = {3, 1, 9}, strides[] = {round_up(width, kernels->panel_columns)};
  float *buffers[] = {new_array((size_t)(13 * strides[0]) * 4)};
  struct batch batch = new_batch(3, lengths, buffers, strides);
  int64_t *ids = new_array(13 * sizeof(int64_t));
  for (int64_t token = 0; token < 13; token++) ids[token] = token * 7 % 11;
  batch.token_ids = ids;
  const float *words = new_floats(11 * width, 1), *positions = new_floats(9 * width, 1);
  const struct step step = {
      .operation = EMBED, .in_width = (int32_t)width, .weight = words, .bias = positions};
  run(&step, &batch);
  for (int64_t item = 0; item < 3; item++)
    for (int64_t token = batch.starts[item]; token < batch.starts[item + 1]; token++)
      for (int64_t k = 0; k < width; k++)
        expect(buffers[0][token * strides[0] + k],
               words[ids[token] * width + k] + positions[(token - batch.starts[item]) * width + k],
               1e-7);
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
  for (int64_t width = 1; width < 70; width += 31) test_attention(3, width, 1);
  test_attention(2, 16, 12);
  report("attention");
  for (int64_t width = 1; width < 1100; width = width * 3 + 2) test_norm(width % 7 + 1, width);
  test_norm(61, 384);
  report("norm");
  test_embedding(1);
  test_embedding(37);
  report("embedding");
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
