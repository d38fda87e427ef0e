/* A device's memory, as operations of comms meet it: what comm.c asks for before a start and after a wait. */
#ifndef YKI_COMM_MEMORY_H
#define YKI_COMM_MEMORY_H

#include "comm/comm.h"

/* All that the operation reads is there; the transport may start, with the addresses that the request now
 * has. NULL: the host's memory, where nothing is to be done. */
yoke_status yki_memory_begin(yki_comm_memory *memory, yki_request *request);
/* The operation is over: what it has written is on its way to the device, and the request has its own
 * addresses again. */
void yki_memory_end(yki_comm_memory *memory, yki_request *request);

#endif
