/* What every target of datasets does with one that was opened. */
#ifndef YKI_FUZZ_DATA_H
#define YKI_FUZZ_DATA_H

#include "yoke/data.h"

/* Reads samples (all of a small set, else from both ends) into buffers that are just as large as the rows
 * say, checks what was promised of the values, and destroys the dataset. */
void fuzz_read_all(yoke_data *data);

#endif
