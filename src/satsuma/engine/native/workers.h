/* Running a program, alone or with helper threads. */
#ifndef SATSUMA_WORKERS_H
#define SATSUMA_WORKERS_H

#include "program.h"

struct workers;

/* Start `num_helpers` threads that sleep until a run wants them. NULL if they cannot be had. */
EXPORT struct workers *start_workers(int64_t num_helpers);

/* End the threads. No run may be going on. */
EXPORT void stop_workers(struct workers *workers);

/* Run a program over a batch. With `workers`, its helpers share each step; if another run has them,
 * this one goes on alone. The batch's scratch must be room for every worker. */
EXPORT void run_program(struct workers *workers, const struct kernels *kernels, const struct step *steps,
                 int64_t num_steps, const struct batch *batch);

#endif
