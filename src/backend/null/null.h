/* The backend that computes nothing, so that plans, schedules and the executor run without hardware. */
#ifndef YKI_BACKEND_NULL_NULL_H
#define YKI_BACKEND_NULL_NULL_H

#include "backend/backend.h"

/* As many devices as one likes, each with 2^50 bytes. Memory is address space: it reads as zeros, and pages
 * that nobody writes cost nothing. Launches do nothing: losses stay as they are. */
extern const yki_backend_ops yki_backend_null;

#endif
