/* The table of kernels' names and signatures, and what follows from a signature. */
#include "backend/signature.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *signature, *work;
} rows[] = {
#define YKI_KERNEL_ROW(id, name, signature, work) {name, signature, work},
    YKI_KERNEL_LIST(YKI_KERNEL_ROW, YKI_KERNEL_ROW)
#undef YKI_KERNEL_ROW
};

const char *yki_kernel_name(yki_kernel kernel)
{
    return (unsigned)kernel < YKI_KERNEL_COUNT ? rows[kernel].name : "unknown";
}

/* ---- reading ---- */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static yki_signature signatures[YKI_KERNEL_COUNT];

static const char *read_word(const char *at, yki_word *word)
{
    bool inside = false;
    for (; *at == '='; at++) word->in_place++;
    word->type = *at++;
    word->whole = *at == '(';
    for (; *at != '\0' && *at != ' '; at++) {
        bool letter = *at != '(' && *at != ')' && *at != '?';
        assert(!letter || word->nletters < YOKE_MAX_DIMS);
        if (letter) word->letters[word->nletters++] = *at;
        if (*at == '?') word->optional = true;
        if (*at == '(') inside = true;
        if (*at == ')') inside = false;
        if (*at == ')' || (letter && !inside)) word->end[word->nitems++] = word->nletters;
    }
    return at;
}

static void read_all(void)
{
    for (int k = 0; k < YKI_KERNEL_COUNT; k++) {
        yki_signature *signature = &signatures[k];
        signature->work = rows[k].work;
        for (const char *at = rows[k].signature; *at != '\0';) {
            if (*at == '>') signature->ninputs = signature->nwords;
            if (*at == '>' || *at == ' ')
                at++;
            else
                at = read_word(at, &signature->words[signature->nwords++]);
        }
    }
}

const yki_signature *yki_kernel_signature(yki_kernel kernel)
{
    pthread_once(&once, read_all);
    return &signatures[kernel];
}

/* ---- views ---- */

int64_t yki_letter_named(char letter, const yki_attr *attr)
{
    switch (letter) {
    case 'n':
        return 1;
    case 'd':
        return attr->width;
    case 'o':
        return attr->outer;
    case 'g':
        return attr->global;
    case 'l':
        return attr->local;
    case 'i':
        return attr->inner;
    default:
        return letter >= '0' && letter <= '9' ? letter - '0' : -1;
    }
}

/* Item k of a word has `size` elements: the dims of its letters. */
static void add_item(const yki_word *word, int k, int64_t size, const yki_attr *attr, yki_view *view)
{
    int first = k > 0 ? word->end[k - 1] : 0, unnamed = -1;
    for (int i = first; i < word->end[k] && word->end[k] > first + 1; i++) {
        view->dims[i] = yki_letter_named(word->letters[i], attr);
        if (view->dims[i] < 0)
            unnamed = i;
        else if (view->dims[i] > 0)
            size /= view->dims[i];
    }
    if (word->end[k] == first + 1) unnamed = first;
    if (unnamed >= 0) view->dims[unnamed] = size;
    view->ndim = word->end[k];
}

static int64_t product(const int64_t *dims, int count)
{
    int64_t elems = 1;
    for (int i = 0; i < count; i++) elems *= dims[i];
    return elems;
}

yki_view yki_word_view(const yki_word *word, const yki_attr *attr, yki_dtype dtype, bool per_sample, int ndim,
                       const int64_t *dims)
{
    yki_view view = {.dtype = dtype, .ndim = 1, .dims = {product(dims, ndim)}};
    if (!word) return view;
    int k = 0, at = 0; /* items and dims that are done */
    if (yki_word_gathers(word)) {
        at = ndim - (word->nitems - 1);
        add_item(word, k++, product(dims, at), attr, &view);
    } else if (word->letters[0] == 'n') {
        assert(per_sample);
        add_item(word, k++, 1, attr, &view);
    }
    (void)per_sample;
    for (; k < word->nitems; k++) {
        bool rest = k == word->nitems - 1 && word->letters[word->nletters - 1] == 'i' && !word->whole;
        int64_t size = rest ? product(dims + at, ndim - at) : dims[at];
        add_item(word, k, size, attr, &view);
        at = rest ? ndim : at + 1;
    }
    assert(at == ndim);
    return view;
}

/* ---- launches ---- */

/* What letters are, in a launch; 0 to 9 are themselves. */
typedef struct letters {
    uint64_t has; /* bits: letter - 'A' */
    int64_t of[128];
} letters;

/* Whether an operand's dims are those of a word, given the letters met so far. */
static inline bool dims_fit(const yki_word *word, int ndim, const int64_t *dims, letters *known)
{
    if (ndim != word->nletters) return false;
    for (int i = 0; i < ndim; i++) {
        int letter = word->letters[i];
        if (letter <= '9') {
            if (dims[i] != letter - '0') return false;
            continue;
        }
        uint64_t bit = UINT64_C(1) << (letter - 'A');
        if ((known->has & bit) && known->of[letter] != dims[i]) return false;
        known->of[letter] = dims[i];
        known->has |= bit;
    }
    return true;
}

/* The type of the first operand of a kind. */
static yki_dtype type_of(const yki_signature *signature, int count, const yki_argument *arguments, char kind)
{
    for (int i = 0; i < signature->nwords && i < count; i++)
        if (signature->words[i].type == kind && arguments[i].ndim > 0) return arguments[i].dtype;
    return YKI_F32;
}

static inline bool type_fits(const yki_signature *signature, int count, const yki_argument *arguments, int i)
{
    yki_dtype type = arguments[i].dtype;
    bool floats = type == YKI_F32 || type == YKI_BF16;
    switch (signature->words[i].type) {
    case 'x':
        return floats && type == type_of(signature, count, arguments, 'x');
    case 'X':
        return floats && type != type_of(signature, count, arguments, 'x');
    case 'f':
    case 'p':
        return type == YKI_F32;
    case 'h':
        return type == YKI_BF16;
    case 'v':
        return floats;
    case 's':
        return type == YKI_F32 || (floats && type == type_of(signature, count, arguments, 'x'));
    case 'z':
        return type == type_of(signature, count, arguments, 'z');
    default:
        return type == YKI_I32;
    }
}

int yki_kernel_misfit(yki_kernel kernel, int count, const yki_argument *arguments)
{
    const yki_signature *signature = yki_kernel_signature(kernel);
    letters known;
    known.has = 0;
    for (int i = 0; i < signature->nwords; i++) {
        const yki_word *word = &signature->words[i];
        if (i >= count || arguments[i].ndim == 0) {
            if (word->optional) continue;
            return i;
        }
        if (!type_fits(signature, count, arguments, i) ||
            !dims_fit(word, arguments[i].ndim, arguments[i].dims, &known))
            return i;
    }
    return count > signature->nwords ? signature->nwords : -1;
}

int yki_launch_misfit(const yki_launch *launch)
{
    yki_argument arguments[YKI_MAX_VIEWS];
    for (int i = 0; i < launch->nviews; i++)
        arguments[i] = (yki_argument){launch->views[i].dtype, launch->views[i].ndim, launch->views[i].dims};
    return yki_kernel_misfit(launch->kernel, launch->nviews, arguments);
}

/* Pairs of a query and a key that it sees, of parts of a sequence: [.., T, ..] and [.., S, ..]. */
static double pairs_of(const yki_attr *attr, int64_t queries, int64_t keys)
{
    double pairs = 0;
    for (int64_t t = 0; t < queries; t++) {
        int64_t last = yki_position(&attr->rows, t);
        pairs += (double)(attr->causal ? yki_positions_until(&attr->keys, keys, last) : keys);
        if (attr->causal && attr->window > 0)
            pairs -= (double)yki_positions_until(&attr->keys, keys, last - attr->window);
    }
    return pairs;
}

/* The share of all pairs that queries see, by areas: a triangle, or a band along its long side. */
static double share_seen(const yki_attr *attr, int64_t tokens)
{
    if (!attr->causal) return 1;
    if (attr->window == 0 || attr->window >= tokens) return 0.5;
    double band = (double)attr->window / (double)tokens;
    return band - band * band / 2;
}

double yki_launch_flops(const yki_launch *shapes)
{
    const yki_signature *signature = yki_kernel_signature(shapes->kernel);
    const yki_attr *attr = shapes->attr;
    double flops = 0;
    if (signature->work[0] == '\0') {
        for (int i = 0; i < shapes->nviews; i++) flops += (double)yki_view_elems(&shapes->views[i]);
        return flops;
    }
    letters known = {0};
    for (int i = 0; i < shapes->nviews; i++)
        if (shapes->views[i].ndim > 0)
            dims_fit(&signature->words[i], shapes->views[i].ndim, shapes->views[i].dims, &known);
    char *factors;
    flops = (double)strtol(signature->work, &factors, 10);
    for (const char *letter = factors; *letter != '\0'; letter++)
        flops *= *letter == 'c'   ? share_seen(attr, known.of['T'])
                 : *letter == 'P' ? pairs_of(attr, known.of['T'], known.of['S'])
                                  : (double)known.of[(int)*letter];
    return flops;
}

double yki_launch_bytes(const yki_launch *shapes)
{
    double bytes = 0;
    for (int i = 0; i < shapes->nviews; i++)
        bytes += (double)yki_view_elems(&shapes->views[i]) * (double)yki_dtype_bytes(shapes->views[i].dtype);
    return bytes;
}
