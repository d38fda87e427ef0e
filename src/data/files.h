/* Files that are read one behind the other as one: what a job's data.path names. Invariant of open ones: at
 * least one file, each as file.h has them, of which at most YKI_FILES_OPEN are kept open. */
#ifndef YKI_DATA_FILES_H
#define YKI_DATA_FILES_H

#include "data/file.h"

enum { YKI_FILES_OPEN = 256 };

typedef struct yki_files {
    yki_file *items;
    int64_t *starts; /* where file i begins among the bytes of all; starts[count] is how many those are */
    int count;
} yki_files;

/* Opens the files of `npaths` paths, in their order. One that is no file's name, and holds *, ? or [, is a
 * pattern of the shell: of the files that it names, in the order of their names' bytes; as in a shell a name
 * that begins with a dot is named by a dot alone. YOKE_INVALID: a pattern that names none; what yki_file_open
 * refuses. On failure nothing is held. Released by yki_files_release, which accepts zeroed ones. */
yoke_status yki_files_open(yki_files *files, int npaths, const char *const *paths);
void yki_files_release(yki_files *files);

int64_t yki_files_bytes(const yki_files *files);
/* Bytes [offset, offset + bytes) of all. */
yoke_status yki_files_read(const yki_files *files, int64_t offset, void *to, int64_t bytes);
/* Holds them in memory, where all of them together are not large. */
yoke_status yki_files_hold(yki_files *files);
/* yki_file_look of each. */
yoke_status yki_files_look(const yki_files *files);
/* All of them, with a '\0' after the last byte; the caller frees *bytes_out. */
yoke_status yki_files_load(const yki_files *files, unsigned char **bytes_out);
/* The file that byte `offset` is of: the last one that begins at or before it. starts: count + 1 places that
 * ascend, in any unit. */
int yki_files_find(const int64_t *starts, int count, int64_t offset);

#endif
