/* Files and folders: reading whole, writing that survives a crash, and sentences for what the system refuses.
 * Every write of a checkpoint goes through here, or past the system's memory of files (base/stream.h).
 * Deliberately absent: buffering, locks. */
#ifndef YKI_BASE_DISK_H
#define YKI_BASE_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "yoke/status.h"

/* FOLDER/NAME into out[size]. YOKE_INVALID: longer than that. */
yoke_status yki_path_join(char *out, size_t size, const char *folder, const char *name);
bool yki_path_exists(const char *path);
bool yki_path_is_folder(const char *path);

/* Opens a plain file to read (never waits on a pipe or device) and tells its size. */
yoke_status yki_disk_open(const char *path, int *fd_out, size_t *bytes_out);
/* Reads a whole file of at most `limit` bytes; the caller frees *bytes_out, which has a '\0' after the last
 * byte. */
yoke_status yki_disk_read(const char *path, size_t limit, char **bytes_out, size_t *count_out);

/* All of `bytes` from `offset`. YOKE_INVALID: the file is shorter. */
yoke_status yki_disk_read_at(int fd, const char *path, void *data, size_t bytes, size_t offset);

/* Opens a file that is there to write into; the record names it as `name`. */
yoke_status yki_disk_open_to_write(const char *path, const char *name, int *fd_out);
/* To the disk itself; the record is that of yki_disk_write. */
yoke_status yki_disk_flush(int fd, const char *path, size_t need);
/* All of `bytes` at `offset`. YOKE_SYSTEM tells the file, the reason and, on a full disk, `need` bytes in all
 * and what is free. */
yoke_status yki_disk_write(int fd, const char *path, const void *data, size_t bytes, size_t offset,
                           size_t need);
/* YOKE_SYSTEM where the file system of an open file has fewer than `need` bytes free (one that does not say
 * has). */
yoke_status yki_disk_check_space(int fd, const char *path, size_t need);
/* Reserves a file's bytes, so that writing them cannot meet a full disk where the file system can promise
 * that; else only sets the size. */
yoke_status yki_disk_reserve(int fd, const char *path, size_t bytes);
/* Creates FILE with these bytes, flushed to the disk. */
yoke_status yki_disk_create(const char *path, const void *data, size_t bytes);

yoke_status yki_disk_flush_folder(const char *path);
/* The folders that a folder lies in, up to the root of its file system, flushed: that its name and theirs are
 * on the disk, whoever made them. Those that may not be read are left out. */
yoke_status yki_disk_flush_above(const char *folder);
/* A folder and its parents; those there already are left. Their names are not flushed. */
yoke_status yki_disk_make_folders(const char *path);
/* A folder with all in it; links are not followed. What is not there is removed already. */
yoke_status yki_disk_remove_folder(const char *path);

#endif
