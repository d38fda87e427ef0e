/* Small files in a folder of the test's own, and the sentence that a refusal must hold. */
#ifndef YKI_TEST_FIXTURE_H
#define YKI_TEST_FIXTURE_H

#include <stddef.h>

#include "yoke/data.h"

/* Group set-up and tear-down: a fresh folder, removed with all that is in it. */
int fixture_begin(void **state);
int fixture_end(void **state);

/* The path of `name` in the folder. Eight results live at a time. */
const char *fixture_path(const char *name);

/* Writes a file and returns its path. */
const char *fixture_write(const char *name, const void *bytes, size_t count);
const char *fixture_write_text(const char *name, const char *text);

/* The file compressed by gzip. */
const char *fixture_write_gzip(const char *name, const void *bytes, size_t count);

/* An npy file: version 1 unless `version` says otherwise. */
/* Reads the file back into `size` bytes; how many there are. */
size_t fixture_read(const char *path, unsigned char *bytes, size_t size);
const char *fixture_write_npy(const char *name, int version, const char *header, const void *bytes,
                              size_t count);

/* An llm.c token file of `id_bytes` wide ids. */
const char *fixture_write_tokens(const char *name, int magic, int version, int count, const void *ids,
                                 size_t bytes);

/* Fails the test unless the status is YOKE_INVALID, the record's message or file holds `needle`, and no
 * dataset came. */
void fixture_refused(yoke_status status, const char *needle, yoke_data *data);

#endif
