/* A backend for tests, which holds everybody to the contract: the CPU's kernels, that run late and far away.
 * A queue has a thread, and does nothing until somebody must have it done: the host, or another queue that
 * waits for an event. So queues that are not made to wait for each other run in the wrong order, and what the
 * host gives a transfer and takes back too soon is lost. Memory has addresses at which nothing can be read or
 * written. YOKE_BACKEND=far makes runs use it. */
#ifndef YKI_BACKEND_FAR_FAR_H
#define YKI_BACKEND_FAR_FAR_H

#include "backend/backend.h"

extern const yki_backend_ops yki_backend_far;

#endif
