/* Helper threads that share the tasks of one step after another.
 *
 * Nobody waits for a helper that the system has put aside: a task belongs to whoever claims it, and
 * the caller claims like everybody else. It waits only for tasks that were claimed and not finished.
 * Between steps helpers spin, since a step lasts microseconds; between runs they sleep.
 */
#include "workers.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#define SPINS_BEFORE_YIELD 2000

struct helper {
  struct workers *workers;
  int64_t number;
  pthread_t thread;
};

struct workers {
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  pthread_mutex_t taken; /* held by the run that has the helpers */
  int is_closed;
  atomic_int is_running;
  _Alignas(64) atomic_uint_fast64_t ticket; /* number of the step << 32 | tasks nobody has claimed */
  _Alignas(64) atomic_int_fast64_t num_done;
  /* What the ticket is for; steady while a claimed task is not done. */
  const struct kernels *kernels;
  const struct step *step;
  const struct batch *batch;
  int64_t num_helpers;
  struct helper helpers[];
};

static void relax(int64_t spins) {
  if (spins >= SPINS_BEFORE_YIELD) {
    sched_yield();
    return;
  }
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static char *scratch_of(const struct batch *batch, int64_t worker) {
  return batch->scratch + worker * batch->scratch_bytes;
}

/* What was packed for a run before means nothing to this one. */
static void forget_packed(const struct batch *batch, int64_t num_workers) {
  for (int64_t worker = 0; worker < num_workers; worker++)
    ((struct note *)scratch_of(batch, worker))->packed = 0;
}

/* Claim a task of the current step and do it; 0 if none is left. */
static int do_one(struct workers *workers, int64_t worker) {
  uint_fast64_t ticket = atomic_load_explicit(&workers->ticket, memory_order_acquire);
  do {
    if ((ticket & 0xffffffff) == 0) return 0;
  } while (!atomic_compare_exchange_weak_explicit(&workers->ticket, &ticket, ticket - 1,
                                                  memory_order_acquire, memory_order_acquire));
  workers->kernels->do_task(workers->step, workers->batch, workers->num_helpers + 1,
                            (int64_t)(ticket & 0xffffffff) - 1, scratch_of(workers->batch, worker));
  atomic_fetch_add_explicit(&workers->num_done, 1, memory_order_release);
  return 1;
}

static void *help(void *argument) {
  struct helper *helper = argument;
  struct workers *workers = helper->workers;
  for (;;) {
    pthread_mutex_lock(&workers->mutex);
    while (!workers->is_closed && !atomic_load(&workers->is_running))
      pthread_cond_wait(&workers->changed, &workers->mutex);
    const int is_closed = workers->is_closed;
    pthread_mutex_unlock(&workers->mutex);
    if (is_closed) return 0;
    for (int64_t spins = 0; atomic_load_explicit(&workers->is_running, memory_order_relaxed); spins++)
      if (do_one(workers, helper->number)) spins = 0;
      else relax(spins);
  }
}

struct workers *start_workers(int64_t num_helpers) {
  struct workers *workers = 0;
  const size_t bytes = sizeof(struct workers) + num_helpers * sizeof(struct helper);
  if (posix_memalign((void **)&workers, 64, (bytes + 63) / 64 * 64)) return 0;
  *workers = (struct workers){.num_helpers = 0};
  pthread_mutex_init(&workers->mutex, 0);
  pthread_mutex_init(&workers->taken, 0);
  pthread_cond_init(&workers->changed, 0);
  for (int64_t i = 0; i < num_helpers; i++) {
    struct helper *helper = &workers->helpers[i];
    *helper = (struct helper){.workers = workers, .number = i + 1};
    if (pthread_create(&helper->thread, 0, help, helper)) {
      stop_workers(workers);
      return 0;
    }
    workers->num_helpers++;
  }
  return workers;
}

void stop_workers(struct workers *workers) {
  pthread_mutex_lock(&workers->mutex);
  workers->is_closed = 1;
  pthread_cond_broadcast(&workers->changed);
  pthread_mutex_unlock(&workers->mutex);
  for (int64_t i = 0; i < workers->num_helpers; i++) pthread_join(workers->helpers[i].thread, 0);
  free(workers);
}

static void set_running(struct workers *workers, int is_running) {
  pthread_mutex_lock(&workers->mutex);
  atomic_store(&workers->is_running, is_running);
  if (is_running) pthread_cond_broadcast(&workers->changed);
  pthread_mutex_unlock(&workers->mutex);
}

static void share_step(struct workers *workers, uint32_t number, int64_t num_tasks) {
  atomic_store_explicit(&workers->num_done, 0, memory_order_relaxed);
  atomic_store_explicit(&workers->ticket, (uint_fast64_t)number << 32 | (uint32_t)num_tasks,
                        memory_order_release);
  while (do_one(workers, 0)) {
  }
  for (int64_t spins = 0;
       atomic_load_explicit(&workers->num_done, memory_order_acquire) < num_tasks; spins++)
    relax(spins);
}

static void run_shared(struct workers *workers, const struct kernels *kernels,
                       const struct step *steps, int64_t num_steps, const struct batch *batch) {
  workers->kernels = kernels;
  workers->batch = batch;
  forget_packed(batch, workers->num_helpers + 1);
  set_running(workers, 1);
  for (int64_t i = 0; i < num_steps; i++) {
    workers->step = &steps[i];
    share_step(workers, (uint32_t)i,
               kernels->count_tasks(&steps[i], batch, workers->num_helpers + 1));
  }
  set_running(workers, 0);
}

static void run_alone(const struct kernels *kernels, const struct step *steps, int64_t num_steps,
                      const struct batch *batch) {
  forget_packed(batch, 1);
  for (int64_t i = 0; i < num_steps; i++) {
    const int64_t num_tasks = kernels->count_tasks(&steps[i], batch, 1);
    for (int64_t task = 0; task < num_tasks; task++)
      kernels->do_task(&steps[i], batch, 1, task, batch->scratch);
  }
}

void run_program(struct workers *workers, const struct kernels *kernels, const struct step *steps,
                 int64_t num_steps, const struct batch *batch) {
  if (workers == 0 || pthread_mutex_trylock(&workers->taken)) {
    run_alone(kernels, steps, num_steps, batch);
    return;
  }
  run_shared(workers, kernels, steps, num_steps, batch);
  pthread_mutex_unlock(&workers->taken);
}
