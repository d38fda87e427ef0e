/* From a tree of YAML to a job, by the table of keys. */
#ifndef YKI_JOB_READ_H
#define YKI_JOB_READ_H

#include "base/text.h"
#include "job/key.h"
#include "job/yaml.h"

typedef struct yki_reader {
    const char *file;   /* as the caller named it; "" none */
    char folder[1024];  /* absolute: what the file's paths are relative to */
    char current[1024]; /* absolute: what the overrides' are */
    yki_yaml *root;
    int noverrides;
    const char *const
        *shown; /* override i, as a person would have typed it: "--set a=b"; nodes say origin i + 1 */
    yoke_job *job;
} yki_reader;

/* Writes the record for a value: file and line, or the override, that it came from. node: NULL where the key
 * is missing, then the nearest node above it is named. key: dotted. Returns YOKE_INVALID. */
yoke_status yki_reader_fail(const yki_reader *reader, const yki_yaml *node, const char *key,
                            const char *format, ...) __attribute__((format(printf, 4, 5)));

/* What is no mapping. */
yoke_status yki_reader_check_root(const yki_reader *reader);
/* That, or an unknown key, with the nearest known ones. */
yoke_status yki_reader_check_keys(const yki_reader *reader);
/* Reads the keys under `section` ("layout", or "" for all) into reader->job, defaults included; needed:
 * whether missing keys are errors. */
yoke_status yki_reader_read(const yki_reader *reader, const char *section, bool needed);

/* Reads one value into the field at `base` + key->offset. path: the dotted key, for errors. */
yoke_status yki_reader_value(const yki_reader *reader, const yki_key *key, const yki_yaml *node,
                             const char *path, void *base);
/* Reads a layer list; outputs hold what is to be freed on failure too. depth: of residuals around it. */
yoke_status yki_reader_layers(const yki_reader *reader, const yki_yaml *node, const char *path, int depth,
                              yoke_layer **layers_out, int *nlayers_out);
void yki_layers_free(yoke_layer *layers, int nlayers);

/* Appends the value of a field as YAML in one line. */
void yki_key_print(yki_text *text, const yki_key *key, const void *base);
/* A layer as a flow mapping. */
void yki_layer_print(yki_text *text, const yoke_layer *layer);

/* Puts an override into the tree. text: "train.steps=20", or a flag of yoke train, "--steps=20";
 * "layout=dp=2,zero=1" sets several keys. A value of null, or none, takes the key out. origin: the override's
 * number, from 1. */
yoke_status yki_reader_override(yki_reader *reader, const char *text, int origin);
/* Splits "dp=2,devices=[cpu:0,cpu:1]" into overrides of layout.*. */
yoke_status yki_reader_override_layout(yki_reader *reader, const char *text, int origin);
/* To be called after the overrides. Drops of the file what they make void: its devices where one names a
 * degree, its epochs where one names steps, and the other way round. */
yoke_status yki_reader_settle(yki_reader *reader);

/* Makes a path absolute against `folder`, without "." and doubled slashes. Returns false if it does not fit.
 */
bool yki_path_resolve(char *out, size_t size, const char *folder, const char *path);

/* What holds between several keys, and the defaults that come from other keys. */
yoke_status yki_reader_finish(const yki_reader *reader);

/* layout.c: the keys of a layout that are named below `root`, as bits by yki_layout_key. */
uint32_t yki_layout_named(yki_yaml *root);

#endif
