/* See crash.h. The log becomes a list of effects, each on one file or folder, with the record that makes it
 * sure; a state is a fate for each effect that is not yet sure. */
#include "crash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xxhash.h>

#include "base/rng.h"
#include "cmocka_all.h"

enum { NEVER = 1 << 30, MOST_NAMES = 64, MOST_NODES = 4096 };
enum { LOST, KEPT, ZEROED, TORN }; /* fates; the last two of writes: the bytes are 0, or only half is there */

/* An entry of a folder: what it led to before, and after (0: nothing; the root has no name). */
typedef struct change {
    const char *name;
    int was, becomes;
} change;

typedef struct effect {
    int node, made, sure, process; /* records that made it, and made it sure */
    record_kind kind;
    change changes[2];
    int64_t end, bytes;
    const char *data;
} effect;

typedef struct node {
    bool is_folder;
    const char *leads; /* of a link */
    uint64_t ino;
    /* in the state that was applied last */
    char *data;
    int64_t bytes, room;
    int nentries;
    struct {
        const char *name;
        int node;
    } entries[MOST_NAMES];
} node;

struct crash_log {
    char *bytes, root[256];
    int nrecords, neffects, nnodes;
    record **records;
    effect *effects;
    unsigned char *all_kept;
    node *nodes; /* 0: the root */
};

/* ---- applying ---- */

static int *entry_of(node *folder, const char *name)
{
    for (int i = 0; i < folder->nentries; i++)
        if (strcmp(folder->entries[i].name, name) == 0) return &folder->entries[i].node;
    return NULL;
}

static void apply_change(node *folder, const change *c)
{
    int *there = entry_of(folder, c->name);
    if (c->becomes != 0) {
        if (!there) {
            assert_true(folder->nentries < MOST_NAMES);
            folder->entries[folder->nentries].name = c->name;
            there = &folder->entries[folder->nentries++].node;
        }
        *there = c->becomes;
    } else if (there && *there == c->was) {
        int at = (int)((char *)there - (char *)&folder->entries[0].node) / (int)sizeof folder->entries[0];
        folder->entries[at] = folder->entries[--folder->nentries];
    }
}

static void grow(node *file, int64_t bytes)
{
    if (bytes > file->room) {
        file->room = 2 * bytes;
        file->data = realloc(file->data, (size_t)file->room);
        assert_non_null(file->data);
    }
    if (bytes > file->bytes) {
        memset(file->data + file->bytes, 0, (size_t)(bytes - file->bytes));
        file->bytes = bytes;
    }
}

static void apply(crash_log *log, const effect *e, int fate)
{
    node *n = &log->nodes[e->node];
    int64_t bytes = fate == TORN ? e->bytes / 2 : e->bytes;
    if (fate == LOST) return;
    switch (e->kind) {
    case RECORD_WRITE:
        grow(n, e->end + bytes);
        if (fate == ZEROED)
            memset(n->data + e->end, 0, (size_t)bytes);
        else
            memcpy(n->data + e->end, e->data, (size_t)bytes);
        break;
    case RECORD_SIZE:
    case RECORD_RESERVE:
        grow(n, e->end);
        if (e->kind == RECORD_SIZE) n->bytes = e->end;
        break;
    default:
        for (int i = 0; i < 2; i++)
            if (e->changes[i].name) apply_change(n, &e->changes[i]);
    }
}

/* All effects that were made by record `after`. */
static void apply_all(crash_log *log, int after, const unsigned char *fates)
{
    for (int i = 0; i < log->nnodes; i++) log->nodes[i].bytes = log->nodes[i].nentries = 0;
    for (int i = 0; i < log->neffects && log->effects[i].made <= after; i++)
        apply(log, &log->effects[i], log->effects[i].sure <= after ? KEPT : fates[i]);
}

/* Does not depend on the order of entries. */
static uint64_t hash_node(const crash_log *log, int number, bool hidden)
{
    const node *n = &log->nodes[number];
    if (n->leads) return XXH3_64bits(n->leads, strlen(n->leads)) + 1;
    if (!n->is_folder) return XXH3_64bits(n->data, (size_t)n->bytes);
    uint64_t sum = 7;
    for (int i = 0; i < n->nentries; i++) {
        const char *name = n->entries[i].name;
        if (!hidden && name[0] == '.' && !strstr(name, ".old")) continue;
        uint64_t pair[2] = {XXH3_64bits(name, strlen(name)), hash_node(log, n->entries[i].node, hidden)};
        sum += XXH3_64bits(pair, sizeof pair);
    }
    return sum;
}

/* ---- reading ---- */

/* The folder that a path lies in, as all was when the record was made, and the name in it. */
static int locate(crash_log *log, char *path, const char **name_out)
{
    int at = 0;
    assert_true(strncmp(path, log->root, strlen(log->root)) == 0);
    char *part = path + strlen(log->root) + 1;
    for (char *slash; (slash = strchr(part, '/')); part = slash + 1) {
        *slash = '\0';
        int *next = entry_of(&log->nodes[at], part);
        if (!next) fail_msg("no %s on the way to %s", part, slash + 1);
        *slash = '/';
        at = *next;
    }
    *name_out = part;
    return at;
}

static int node_of(const crash_log *log, uint64_t ino)
{
    for (int i = log->nnodes - 1; i >= 0; i--) /* the newest: numbers come again */
        if (log->nodes[i].ino == ino) return i;
    return -1;
}

static effect *add_effect(crash_log *log, int i, int number)
{
    const record *r = log->records[i];
    effect *e = &log->effects[log->neffects++];
    *e = (effect){.node = number, .made = i, .sure = NEVER, .process = r->process, .kind = r->kind};
    return e;
}

static int add_node(crash_log *log, const record *r)
{
    assert_true(log->nnodes < MOST_NODES);
    log->nodes[log->nnodes] = (node){.is_folder = r->kind == RECORD_FOLDER, .ino = r->ino};
    if (r->kind == RECORD_LINK)
        log->nodes[log->nnodes].leads = strndup((const char *)(r + 1), (size_t)r->payload);
    return log->nnodes++;
}

static void read_names(crash_log *log, int i)
{
    record *r = log->records[i];
    const char *name, *to;
    int folder = locate(log, r->path, &name);
    int *there = entry_of(&log->nodes[folder], name), found = there ? *there : 0;
    effect *e = add_effect(log, i, folder);
    e->changes[0] = (change){name, found, 0};
    if (r->kind == RECORD_CREATE || r->kind == RECORD_FOLDER || r->kind == RECORD_LINK) {
        e->changes[0].becomes = add_node(log, r);
        return;
    }
    if (found == 0) fail_msg("record %d: there is no %s", i, r->path);
    if (r->kind == RECORD_REMOVE) return;
    if (locate(log, r->to, &to) != folder) fail_msg("%s moves to another folder: not modelled", r->path);
    int *other = entry_of(&log->nodes[folder], to), replaced = other ? *other : 0;
    if (r->kind == RECORD_EXCHANGE) e->changes[0].becomes = replaced;
    e->changes[1] = (change){to, replaced, found};
}

static void read_bytes(crash_log *log, int i, int number)
{
    const record *r = log->records[i];
    effect *e = add_effect(log, i, number);
    e->end = r->end;
    e->bytes = r->payload;
    e->data = (const char *)(r + 1);
}

/* A flush makes sure what is before it: of a folder all, of a file what this process wrote, since another may
 * be on another machine. */
static void read_flush(crash_log *log, int i, int number)
{
    const record *r = log->records[i];
    for (int k = 0; k < log->neffects; k++) {
        effect *e = &log->effects[k];
        if (e->node == number && e->sure == NEVER &&
            (log->nodes[number].is_folder || e->process == r->process))
            e->sure = i;
    }
}

static void read_record(crash_log *log, int i)
{
    const record *r = log->records[i];
    int before = log->neffects, number = -1;
    if (r->kind == RECORD_TOLD) return;
    if (r->kind >= RECORD_SIZE && r->kind <= RECORD_FLUSH) {
        number = node_of(log, r->ino);
        if (number < 0 && r->kind == RECORD_FLUSH) return; /* the folder around the root */
        assert_true(number >= 0);
    }
    if (r->kind == RECORD_FLUSH)
        read_flush(log, i, number);
    else if (number >= 0)
        read_bytes(log, i, number);
    else
        read_names(log, i);
    for (int k = before; k < log->neffects; k++) apply(log, &log->effects[k], KEPT);
}

static char *read_log(const char *path, size_t *count_out)
{
    struct stat info;
    FILE *in = fopen(path, "rb");
    if (!in || fstat(fileno(in), &info) != 0) fail_msg("no log %s", path);
    char *bytes = malloc((size_t)info.st_size + 1);
    assert_non_null(bytes);
    *count_out = fread(bytes, 1, (size_t)info.st_size, in);
    fclose(in);
    return bytes;
}

/* A record's place in the file is as it comes; here each is where a record may be. */
static void split(crash_log *log, size_t count)
{
    size_t room = count / sizeof(record) + 1;
    log->records = calloc(room, sizeof *log->records);
    log->effects = calloc(room, sizeof *log->effects);
    log->all_kept = malloc(room);
    for (size_t at = 0; at + sizeof(record) <= count;) {
        record r;
        memcpy(&r, log->bytes + at, sizeof r);
        size_t bytes = sizeof r + (size_t)r.payload;
        assert_true(at + bytes <= count);
        record *kept = malloc(bytes);
        assert_non_null(kept);
        memcpy(kept, log->bytes + at, bytes);
        log->records[log->nrecords++] = kept;
        at += bytes;
    }
    memset(log->all_kept, KEPT, room);
}

crash_log *crash_read(const char *path, const char *root)
{
    size_t count;
    struct stat info;
    crash_log *log = calloc(1, sizeof *log);
    assert_non_null(log);
    log->bytes = read_log(path, &count);
    snprintf(log->root, sizeof log->root, "%s", root);
    split(log, count);
    log->nodes = calloc(MOST_NODES, sizeof *log->nodes);
    assert_true(log->records && log->effects && log->all_kept && log->nodes && stat(root, &info) == 0);
    log->nodes[log->nnodes++] = (node){.is_folder = true, .ino = info.st_ino};
    for (int i = 0; i < log->nrecords; i++) read_record(log, i);
    return log;
}

void crash_free(crash_log *log)
{
    for (int i = 0; i < log->nrecords; i++) free(log->records[i]);
    for (int i = 0; i < log->nnodes; i++) {
        free(log->nodes[i].data);
        free((char *)log->nodes[i].leads);
    }
    free(log->nodes);
    free(log->all_kept);
    free(log->effects);
    free(log->records);
    free(log->bytes);
    free(log);
}

int crash_records(const crash_log *log)
{
    return log->nrecords;
}

const record *crash_record(const crash_log *log, int i)
{
    return log->records[i];
}

unsigned crash_effects(const crash_log *log)
{
    return (unsigned)log->neffects;
}

crash_state crash_end(const crash_log *log)
{
    return (crash_state){.after = log->nrecords, .fates = log->all_kept};
}

/* ---- states ---- */

typedef struct tour {
    crash_log *log;
    int after, npending;
    int *pending; /* effects that are not sure */
    unsigned char *fates;
    void (*show)(void *context, const crash_state *state);
    void *context;
} tour;

static void show(tour *t)
{
    apply_all(t->log, t->after, t->fates);
    crash_state state = {t->after, t->fates, hash_node(t->log, 0, false), hash_node(t->log, 0, true)};
    t->show(t->context, &state);
}

static bool is_write(const tour *t, int p)
{
    record_kind kind = t->log->effects[t->pending[p]].kind;
    return kind == RECORD_WRITE || kind == RECORD_SIZE || kind == RECORD_RESERVE;
}

static bool is_removal(const tour *t, int p)
{
    return t->log->effects[t->pending[p]].kind == RECORD_REMOVE;
}

static void set_from(tour *t, int first, int end, int fate)
{
    for (int p = first; p < end; p++) t->fates[t->pending[p]] = (unsigned char)fate;
}

static void show_extremes(tour *t)
{
    int n = t->npending;
    for (int data = LOST; data <= TORN; data++) /* all names, and no, all, empty and torn data */
        for (int names = LOST; names <= KEPT; names++) {
            for (int p = 0; p < n; p++)
                t->fates[t->pending[p]] = (unsigned char)(is_write(t, p) ? data : names);
            show(t);
        }
    for (int others = LOST; others <= KEPT; others++) { /* only removals, and none */
        for (int p = 0; p < n; p++)
            t->fates[t->pending[p]] = (unsigned char)(is_removal(t, p) == (others == LOST));
        show(t);
    }
    for (int k = 0; k < n; k++)
        for (int fate = LOST; fate <= KEPT; fate++) {
            set_from(t, 0, n, fate), set_from(t, k, n, 1 - fate), show(t); /* what came first, or last */
            set_from(t, 0, n, fate), set_from(t, k, k + 1, 1 - fate), show(t);
        }
}

/* Every combination: names are kept or lost, all that is written to a file is lost, kept or zero. */
static bool show_all(tour *t, int most)
{
    int radix[16], n = t->npending, total = 1;
    if (n > 16) return false;
    for (int p = 0; p < n; p++) {
        radix[p] = is_write(t, p) ? 3 : 2;
        if ((total *= radix[p]) > most) return false;
    }
    for (int c = 0; c < total; c++) {
        for (int p = 0, rest = c; p < n; rest /= radix[p++])
            t->fates[t->pending[p]] = (unsigned char)(rest % radix[p]);
        show(t);
    }
    return true;
}

static void show_samples(tour *t, int samples, uint64_t seed)
{
    for (int s = 0; s < samples; s++) {
        for (int p = 0; p < t->npending; p++) {
            uint64_t drawn = yki_rng_bits(seed, ((uint64_t)t->after << 32) + (uint64_t)(s * t->npending + p));
            t->fates[t->pending[p]] = (unsigned char)(drawn % (is_write(t, p) ? 4 : 2));
        }
        show(t);
    }
}

void crash_each(const crash_log *log, int first, int samples, uint64_t seed,
                void (*shown)(void *context, const crash_state *state), void *context)
{
    size_t room = (size_t)log->neffects + 1;
    tour t = {.log = (crash_log *)log, .show = shown, .context = context};
    t.pending = calloc(room, sizeof *t.pending);
    t.fates = calloc(room, sizeof *t.fates);
    assert_true(t.pending && t.fates);
    for (t.after = first; t.after < log->nrecords; t.after++) {
        t.npending = 0;
        for (int i = 0; i < log->neffects; i++)
            if (log->effects[i].made <= t.after && log->effects[i].sure > t.after)
                t.pending[t.npending++] = i;
        show_extremes(&t);
        if (!show_all(&t, 2 * samples)) show_samples(&t, samples, seed);
    }
    free(t.pending);
    free(t.fates);
}

static void build_node(const crash_log *log, int number, const char *path)
{
    const node *n = &log->nodes[number];
    if (n->leads) {
        assert_int_equal(symlink(n->leads, path), 0);
    } else if (n->is_folder) {
        if (number != 0) assert_int_equal(mkdir(path, 0777), 0);
        for (int i = 0; i < n->nentries; i++) {
            char inner[512];
            assert_true(snprintf(inner, sizeof inner, "%s/%s", path, n->entries[i].name) < (int)sizeof inner);
            build_node(log, n->entries[i].node, inner);
        }
    } else {
        FILE *out = fopen(path, "wb");
        assert_non_null(out);
        assert_int_equal(fwrite(n->data, 1, (size_t)n->bytes, out), n->bytes);
        assert_int_equal(fclose(out), 0);
    }
}

void crash_build(const crash_log *log, const crash_state *state, const char *root)
{
    apply_all((crash_log *)log, state->after, state->fates);
    build_node(log, 0, root);
}

void crash_print(const crash_log *log, const crash_state *state)
{
    static const char *const kinds[] = {"create", "mkdir",  "link",     "size",   "reserve", "write",
                                        "flush",  "rename", "exchange", "remove", "told"};
    static const char *const fates[] = {"lost", "kept", "zero", "torn"};
    for (int i = 0; i < log->neffects; i++) {
        const effect *e = &log->effects[i];
        const record *r = log->records[e->made];
        if (e->made > state->after || e->sure <= state->after) continue;
        print_error("  %s: record %d, %s %s %s\n", fates[state->fates[i]], e->made, kinds[r->kind], r->path,
                    r->to);
    }
    if (state->after < log->nrecords) {
        const record *r = log->records[state->after];
        print_error("  the power goes after record %d: %s %s %s\n", state->after, kinds[r->kind], r->path,
                    r->to);
    }
}
