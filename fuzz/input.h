/* What the fuzz targets share: bytes as files, parts of one input, and what must hold of every refusal.
 *
 * A target is a function of bytes (LLVMFuzzerTestOneInput), so that libFuzzer drives it where clang is, and
 * replay.c wherever a corpus is to be run again. It never keeps anything from one input to the next. */
#ifndef YKI_FUZZ_INPUT_H
#define YKI_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>

#include "yoke/status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What lies between the parts of an input that stands for several files. */
#define FUZZ_MARK "\n==NEXT==\n"

typedef struct fuzz_part {
    const uint8_t *data;
    size_t size;
} fuzz_part;

/* Divides an input at its marks, the last part taking what is left; returns how many there are, at most
 * `most`. */
int fuzz_split(const uint8_t *data, size_t size, fuzz_part *parts, int most);

enum { FUZZ_FILES = 6 };
/* Puts the bytes into a file in memory; its path holds until the same slot is filled again. */
const char *fuzz_file(int slot, const void *data, size_t size);
/* A folder in which NAME is that file: made at the first call, removed at the end. `slot` -1: only the path.
 */
const char *fuzz_folder(const char *name, int slot);
/* Takes NAME out of the folder again; nothing where it is not there. */
void fuzz_folder_without(const char *name);

/* Runs a call that reads input. True where it gives YOKE_OK. Otherwise that must be YOKE_INVALID (input is at
 * fault, nothing else), with a record of one sentence: not empty, valid UTF-8, without a character that a
 * terminal would obey. Replaying can make one allocation within such calls fail; YOKE_SYSTEM is right then.
 */
#define fuzz_accepted(call) (fuzz_begin(), fuzz_judge(call))
void fuzz_begin(void);
int fuzz_judge(yoke_status status);
/* Ends the run, as a finding, unless `holds`. */
void fuzz_require(int holds, const char *what);

/* Makes allocation number `failing` within those calls fail, counted from now; -1: none. */
void fuzz_starve(long failing);
/* Whether one has failed since. */
int fuzz_starved(void);
/* The next allocation: whether it is to fail. */
int fuzz_allocation_fails(void);

#endif
