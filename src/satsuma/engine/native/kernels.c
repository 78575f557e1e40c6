/* One instruction set's kernels; compiled once for each, with other flags and another KERNELS_NAME.
 *
 * Also says how a step is divided among workers. A division never changes a value.
 */
#include "attention.h"
#include "linear.h"
#include "rows.h"

#define NAME_OF(name) #name
#define TEXT_OF(name) NAME_OF(name)
#define JOIN(one, other) one##other
#define SYMBOL(name) JOIN(kernels_, name)

#define TASKS_PER_WORKER 4 /* so that a worker that lags holds up the others by a quarter at most */
#define FEW_ROWS 48        /* below this for each worker, a product is divided by its columns */

static int64_t divide(int64_t total, int64_t task, int64_t num_tasks) {
  return total * task / num_tasks;
}

static int divides_rows(const struct batch *batch, int64_t num_workers) {
  return num_workers == 1 || batch->num_tokens >= FEW_ROWS * num_workers;
}

/* Into how many shares the queries of a head are divided, where there are too few heads to go
 * round. Each share packs the head's keys anew, so that it must be worth it. */
static int64_t count_shares(const struct step *step, const struct batch *batch,
                            int64_t num_workers) {
  const int64_t heads = batch->num_items * step->num_heads;
  const int64_t wanted = round_up(TASKS_PER_WORKER * num_workers, heads) / heads;
  const int64_t most = batch->num_tokens / (batch->num_items * FEW_ROWS);
  return num_workers == 1 || most < 1 ? 1 : smaller(wanted, most);
}

static int64_t count_tasks(const struct step *step, const struct batch *batch,
                           int64_t num_workers) {
  switch (step->operation) {
    case EMBED: return batch->num_items;
    case ATTENTION:
      return batch->num_items * step->num_heads * count_shares(step, batch, num_workers);
    case NORM:
    case RMS_NORM:
    case ROTATE:
    case GATE: return num_workers == 1 ? 1 : smaller(batch->num_tokens, TASKS_PER_WORKER * num_workers);
    default: break;
  }
  if (num_workers == 1) return 1;
  const int64_t units = divides_rows(batch, num_workers)
                            ? round_up(batch->num_tokens, STRIP_ROWS) / STRIP_ROWS
                            : count_panels(step->out_width);
  return smaller(units, TASKS_PER_WORKER * num_workers);
}

static struct part find_part(const struct step *step, const struct batch *batch,
                             int64_t num_workers, int64_t task) {
  const int64_t num_tasks = count_tasks(step, batch, num_workers);
  struct part part = {0, batch->num_tokens, 0, count_panels(step->out_width)};
  if (divides_rows(batch, num_workers)) {
    const int64_t strips = round_up(batch->num_tokens, STRIP_ROWS) / STRIP_ROWS;
    part.first_row = divide(strips, task, num_tasks) * STRIP_ROWS;
    part.end_row = smaller(divide(strips, task + 1, num_tasks) * STRIP_ROWS, batch->num_tokens);
  } else {
    part.first_panel = divide(count_panels(step->out_width), task, num_tasks);
    part.end_panel = divide(count_panels(step->out_width), task + 1, num_tasks);
  }
  return part;
}

static void attend_share(const struct step *step, const struct batch *batch, int64_t num_workers,
                         int64_t task, char *scratch) {
  const int64_t num_shares = count_shares(step, batch, num_workers);
  const int64_t share = task % num_shares, head = task / num_shares % step->num_heads;
  const int64_t item = task / num_shares / step->num_heads;
  const int64_t length = batch->starts[item + 1] - batch->starts[item];
  const int64_t strips = round_up(length, STRIP_ROWS) / STRIP_ROWS;
  attend(step, batch, item, head, divide(strips, share, num_shares) * STRIP_ROWS,
         smaller(divide(strips, share + 1, num_shares) * STRIP_ROWS, length), scratch);
}

/* A task of a step that treats each row by itself. */
static void do_rows(void (*rows)(const struct step *, const struct batch *, int64_t, int64_t),
                    const struct step *step, const struct batch *batch, int64_t num_workers,
                    int64_t task) {
  const int64_t num_tasks = count_tasks(step, batch, num_workers);
  rows(step, batch, divide(batch->num_tokens, task, num_tasks),
       divide(batch->num_tokens, task + 1, num_tasks));
}

static void do_task(const struct step *step, const struct batch *batch, int64_t num_workers,
                    int64_t task, char *worker_scratch) {
  struct note *note = (struct note *)worker_scratch;
  char *scratch = worker_scratch + NOTE_BYTES;
  switch (step->operation) {
    case EMBED: embed(step, batch, task); break;
    case ATTENTION: attend_share(step, batch, num_workers, task, scratch); break;
    case NORM: do_rows(norm, step, batch, num_workers, task); break;
    case RMS_NORM: do_rows(rms_norm, step, batch, num_workers, task); break;
    case ROTATE: do_rows(rotate, step, batch, num_workers, task); break;
    case GATE: do_rows(gate, step, batch, num_workers, task); break;
    default: linear(step, batch, find_part(step, batch, num_workers, task), note, scratch);
  }
}

static int64_t scratch_bytes(const struct step *steps, int64_t num_steps, int64_t longest,
                             int64_t num_tokens) {
  int64_t most = 0;
  for (int64_t i = 0; i < num_steps; i++) {
    int64_t bytes = 0;
    if (steps[i].operation == LINEAR || steps[i].operation == LINEAR_INT8)
      bytes = linear_scratch_bytes(&steps[i], num_tokens);
    if (steps[i].operation == ATTENTION)
      bytes = 4 * head_floats(longest, steps[i].head_width);
    most = bytes > most ? bytes : most;
  }
  return NOTE_BYTES + round_up(most, 64);
}

const struct kernels SYMBOL(KERNELS_NAME) = {
    .name = TEXT_OF(KERNELS_NAME),
    .panel_columns = PANEL_COLUMNS,
    .quad_limit = QUAD_LIMIT,
    .scratch_bytes = scratch_bytes,
    .count_tasks = count_tasks,
    .do_task = do_task,
};
