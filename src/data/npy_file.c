/* Reading .npy files: the header (a Python dict of three known keys, parsed strictly), then the sizes, then
 * elements. */
#include "data/npy_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE_ELEMENTS = 4096, HEADER_LIMIT_BYTES = 1 << 20 };

/* ---- element types ---- */

static inline double half_value(uint32_t half)
{
    uint32_t exponent = half >> 10 & 31, fraction = half & 1023;
    double value;
    if (exponent == 31)
        value = fraction ? (double)NAN : (double)INFINITY;
    else
        value = exponent ? ldexp(1024 + fraction, (int)exponent - 25) : ldexp(fraction, -24);
    return half & 0x8000 ? -value : value;
}

static inline float load_f4(const unsigned char *p)
{
    uint32_t bits = yki_le32(p);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline double load_f8(const unsigned char *p)
{
    uint64_t bits = yki_le64(p);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#define LOAD_b1(p) ((p)[0] != 0)
#define LOAD_u1(p) ((p)[0])
#define LOAD_i1(p) ((int8_t)(p)[0])
#define LOAD_u2(p) (yki_le16(p))
#define LOAD_i2(p) ((int16_t)yki_le16(p))
#define LOAD_u4(p) (yki_le32(p))
#define LOAD_i4(p) ((int32_t)yki_le32(p))
#define LOAD_u8(p) (yki_le64(p))
#define LOAD_i8(p) ((int64_t)yki_le64(p))
#define LOAD_f2(p) (half_value(yki_le16(p)))
#define LOAD_f4(p) (load_f4(p))
#define LOAD_f8(p) (load_f8(p))

/* By its bits: holds under any floating-point option of the compiler. */
static inline bool is_finite(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (bits & 0x7F800000u) != 0x7F800000u;
}

#define UNSIGNED_TYPES(X) X(b1, 1) X(u1, 1) X(u2, 2) X(u4, 4) X(u8, 8)
#define SIGNED_TYPES(X)   X(i1, 1) X(i2, 2) X(i4, 4) X(i8, 8)
#define INTEGER_TYPES(X)  UNSIGNED_TYPES(X) SIGNED_TYPES(X)
#define FLOAT_TYPES(X)    X(f2, 2) X(f4, 4) X(f8, 8)

#define DEFINE_TO(name, number, type, bytes)                                                                 \
    static int64_t type##_to_##name(const unsigned char *from, int64_t count, void *to)                      \
    {                                                                                                        \
        number *numbers = to;                                                                                \
        bool finite = true;                                                                                  \
        for (int64_t i = 0; i < count; i++) {                                                                \
            numbers[i] = (number)LOAD_##type(from + i * bytes);                                              \
            finite &= is_finite((float)numbers[i]);                                                          \
        }                                                                                                    \
        int64_t good = finite ? count : 0;                                                                   \
        while (good < count && is_finite((float)numbers[good])) good++;                                      \
        return good;                                                                                         \
    }
#define DEFINE_TO_FLOAT(type, bytes) DEFINE_TO(float, float, type, bytes)
#define DEFINE_TO_REAL(type, bytes)  DEFINE_TO(real, double, type, bytes)
/* A negative number becomes one above INT32_MAX by the cast; `marked`: YOKE_UNCOUNTED may be among them. */
#define DEFINE_TO_IDS(name, type, bytes, marked)                                                             \
    static int64_t type##_to_##name(const unsigned char *from, int64_t count, void *to)                      \
    {                                                                                                        \
        int32_t *integers = to;                                                                              \
        for (int64_t i = 0; i < count; i++) {                                                                \
            uint64_t value = (uint64_t)LOAD_##type(from + i * bytes);                                        \
            if (value > INT32_MAX && !((marked) && value == (uint64_t)YOKE_UNCOUNTED)) return i;             \
            integers[i] = (int32_t)value;                                                                    \
        }                                                                                                    \
        return count;                                                                                        \
    }
#define DEFINE_TO_INTEGER(type, bytes)        DEFINE_TO_IDS(integer, type, bytes, false)
#define DEFINE_UNSIGNED_TO_CLASS(type, bytes) DEFINE_TO_IDS(class, type, bytes, false)
#define DEFINE_SIGNED_TO_CLASS(type, bytes)   DEFINE_TO_IDS(class, type, bytes, true)
INTEGER_TYPES(DEFINE_TO_FLOAT)
FLOAT_TYPES(DEFINE_TO_FLOAT)
INTEGER_TYPES(DEFINE_TO_REAL)
FLOAT_TYPES(DEFINE_TO_REAL)
INTEGER_TYPES(DEFINE_TO_INTEGER)
UNSIGNED_TYPES(DEFINE_UNSIGNED_TO_CLASS)
SIGNED_TYPES(DEFINE_SIGNED_TO_CLASS)

#define INTEGER_ROW(type, bytes)                                                                             \
    {#type, bytes, true, {type##_to_float, type##_to_real, type##_to_integer, type##_to_class}},
#define FLOAT_ROW(type, bytes) {#type, bytes, false, {type##_to_float, type##_to_real, NULL, NULL}},
static const yki_npy_type types[] = {INTEGER_TYPES(INTEGER_ROW) FLOAT_TYPES(FLOAT_ROW)};

/* ---- the header ---- */

typedef struct cursor {
    const char *at, *end;
} cursor;

static void skip_space(cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\t')) c->at++;
}

static bool take(cursor *c, char wanted)
{
    skip_space(c);
    if (c->at == c->end || *c->at != wanted) return false;
    c->at++;
    return true;
}

static bool take_word(cursor *c, const char *word)
{
    size_t length = strlen(word);
    skip_space(c);
    if ((size_t)(c->end - c->at) < length || memcmp(c->at, word, length) != 0) return false;
    c->at += length;
    return true;
}

/* A quoted string without escapes into `text`; false if there is none or it is too long. */
static bool take_string(cursor *c, char *text, size_t size)
{
    skip_space(c);
    if (c->at == c->end || (*c->at != '\'' && *c->at != '"')) return false;
    char quote = *c->at++;
    size_t length = 0;
    while (c->at < c->end && *c->at != quote) {
        if (*c->at < ' ' || *c->at == '\\' || length + 1 >= size) return false;
        text[length++] = *c->at++;
    }
    text[length] = '\0';
    return take(c, quote);
}

static bool take_count(cursor *c, int64_t *count)
{
    skip_space(c);
    const char *first = c->at;
    int64_t value = 0;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++)
        if (__builtin_mul_overflow(value, (int64_t)10, &value) ||
            __builtin_add_overflow(value, (int64_t)(*c->at - '0'), &value))
            return false;
    *count = value;
    return c->at > first;
}

static yoke_status malformed(const yki_npy *npy, const char *what)
{
    return yki_file_fail(&npy->file, "has a malformed npy header: %s", what);
}

static yoke_status parse_shape(yki_npy *npy, cursor *c)
{
    npy->ndim = 0;
    if (!take(c, '(')) return malformed(npy, "the shape is no tuple of counts");
    while (!take(c, ')')) {
        int64_t dim;
        if (!take_count(c, &dim)) return malformed(npy, "the shape is no tuple of counts");
        if (npy->ndim == YKI_NPY_MAX_DIMS)
            return yki_file_fail(&npy->file, "has more than %d dims (the samples, then at most %d)",
                                 YKI_NPY_MAX_DIMS, YOKE_MAX_DIMS);
        npy->dims[npy->ndim++] = dim;
        if (!take(c, ',')) {
            if (take(c, ')')) break;
            return malformed(npy, "the shape is no tuple of counts");
        }
    }
    return YOKE_OK;
}

static yoke_status parse_type(yki_npy *npy, cursor *c)
{
    char descr[32];
    skip_space(c);
    if (c->at < c->end && *c->at == '[')
        return yki_file_fail(&npy->file, "holds records of several fields; an array of numbers is needed");
    if (!take_string(c, descr, sizeof descr) || strlen(descr) < 3 || !strchr("<>|=", descr[0]))
        return malformed(npy, "its descr is no type of numbers");
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(descr + 1, types[i].name) != 0) continue;
        if (types[i].bytes > 1 && descr[0] != '<')
            return yki_file_fail(&npy->file,
                                 "holds %s numbers, which are not little-endian; save x.astype('<%s')", descr,
                                 types[i].name);
        npy->type = &types[i];
        return YOKE_OK;
    }
    return yki_file_fail(
        &npy->file, "holds elements of type '%s'; f2, f4, f8, i1 to i8, u1 to u8 and b1 can be read", descr);
}

static yoke_status parse_order(const yki_npy *npy, cursor *c)
{
    if (take_word(c, "False")) return YOKE_OK;
    if (take_word(c, "True"))
        return yki_file_fail(&npy->file, "is in Fortran order; save numpy.ascontiguousarray(x)");
    return malformed(npy, "fortran_order is neither True nor False");
}

static yoke_status parse_entry(yki_npy *npy, cursor *c, unsigned *seen)
{
    static const char *const keys[] = {"descr", "fortran_order", "shape"};
    char key[24];
    if (!take_string(c, key, sizeof key) || !take(c, ':'))
        return malformed(npy, "it is no dict of descr, fortran_order and shape");
    unsigned k = 0;
    while (k < 3 && strcmp(key, keys[k]) != 0) k++;
    if (k == 3) return malformed(npy, "it has a key other than descr, fortran_order and shape");
    if (*seen & 1u << k) return malformed(npy, "it has a key twice");
    *seen |= 1u << k;
    return k == 0 ? parse_type(npy, c) : k == 1 ? parse_order(npy, c) : parse_shape(npy, c);
}

static yoke_status parse_header(yki_npy *npy, const char *text, int64_t length)
{
    cursor c = {text, text + length};
    unsigned seen = 0;
    if (!take(&c, '{')) return malformed(npy, "it is no dict of descr, fortran_order and shape");
    while (!take(&c, '}')) {
        YKI_TRY(parse_entry(npy, &c, &seen));
        if (!take(&c, ',')) {
            if (take(&c, '}')) break;
            return malformed(npy, "it is no dict of descr, fortran_order and shape");
        }
    }
    skip_space(&c);
    if (c.at != c.end) return malformed(npy, "something follows its dict");
    if (seen != 7) return malformed(npy, "descr, fortran_order or shape is missing");
    return YOKE_OK;
}

/* ---- the file ---- */

static yoke_status check_size(yki_npy *npy, int64_t header_bytes)
{
    if (npy->ndim == 0)
        return yki_file_fail(&npy->file, "holds a single number; the first dim must count the samples");
    npy->row_elements = 1;
    bool overflow = false;
    for (int dim = 0; dim < npy->ndim; dim++) {
        if (npy->dims[dim] == 0)
            return yki_file_fail(&npy->file, "has 0 %s: dim %d of its shape is 0",
                                 dim ? "elements a sample" : "samples", dim);
        if (dim > 0)
            overflow |= __builtin_mul_overflow(npy->row_elements, npy->dims[dim], &npy->row_elements);
    }
    int64_t expected;
    overflow |= __builtin_mul_overflow(npy->row_elements, npy->dims[0], &expected);
    overflow |= __builtin_mul_overflow(expected, (int64_t)npy->type->bytes, &expected);
    overflow |= __builtin_add_overflow(expected, header_bytes, &expected);
    if (overflow) return yki_file_fail(&npy->file, "has a shape with more bytes than can be counted");
    if (npy->file.size != expected)
        return yki_file_fail(&npy->file,
                             "has %lld bytes; the shape and type in its header make %lld: it is %s",
                             (long long)npy->file.size, (long long)expected,
                             npy->file.size < expected ? "cut off" : "too long");
    npy->elements = header_bytes;
    return YOKE_OK;
}

static yoke_status read_header(yki_npy *npy, int64_t start, int64_t length)
{
    char *text = malloc((size_t)length + 1);
    if (!text) return yki_fail_memory("an npy header");
    yoke_status status = yki_file_read(&npy->file, start, text, length);
    if (status == YOKE_OK) status = parse_header(npy, text, length);
    free(text);
    return status;
}

static yoke_status open_file(yki_npy *npy)
{
    const yki_file *file = &npy->file;
    const unsigned char *head = file->head;
    if (file->size < 10 || memcmp(head, "\x93NUMPY", 6) != 0)
        return yki_file_fail_kind(file, "is no npy file: it doesn't begin with \\x93NUMPY and a version");
    int version = head[6];
    if (version < 1 || version > 3)
        return yki_file_fail(file, "is of version %d.%d of the npy format; 1.0 to 3.0 are known", version,
                             head[7]);
    int64_t start = version == 1 ? 10 : 12;
    if (file->size < start) return yki_file_fail(file, "is cut off inside its header");
    int64_t length = version == 1 ? (int64_t)yki_le16(head + 8) : (int64_t)yki_le32(head + 8);
    if (length > HEADER_LIMIT_BYTES)
        return yki_file_fail(file, "has an npy header of %lld bytes; one of at most %d is believed",
                             (long long)length, HEADER_LIMIT_BYTES);
    if (length > file->size - start)
        return yki_file_fail(file, "has %lld bytes; its header alone takes %lld: it is cut off",
                             (long long)file->size, (long long)(start + length));
    YKI_TRY(read_header(npy, start, length));
    return check_size(npy, start + length);
}

yoke_status yki_npy_open(yki_npy *npy, const char *path)
{
    *npy = (yki_npy){0};
    YKI_TRY(yki_file_open(&npy->file, path));
    yoke_status status = open_file(npy);
    if (status != YOKE_OK) yki_npy_release(npy);
    return status;
}

void yki_npy_release(yki_npy *npy)
{
    yki_file_release(&npy->file);
    *npy = (yki_npy){0};
}

/* Says what is wrong with element `position` of the file, which is `at`. */
static yoke_status refuse(const yki_npy *npy, int64_t position, const unsigned char *at, yki_npy_as as)
{
    long long sample = position / npy->row_elements, element = position % npy->row_elements;
    float as_float;
    npy->type->convert[YKI_NPY_FLOAT](at, 1, &as_float);
    if (as == YKI_NPY_FLOAT || as == YKI_NPY_REAL)
        return yki_file_fail(&npy->file,
                             "sample %lld (element %lld of its row) is %s; data must be finite in 32 bits",
                             sample, element,
                             as_float != as_float ? "NaN"
                             : as_float > 0       ? "infinite"
                                                  : "minus infinite");
    return yki_file_fail(
        &npy->file, "sample %lld (element %lld of its row) is %.9g; ids and classes are 0 to %ld%s%s", sample,
        element, (double)as_float, (long)INT32_MAX,
        as == YKI_NPY_CLASS ? ", or -100 where a target is not counted" : "",
        npy->ndim == 1   ? "; numbers to be predicted as they are are saved as float32, for "
                           "train.loss: mse"
        : npy->ndim == 2 ? "; numbers that are no ids are saved as float32: save x.astype('float32')"
                         : "");
}

/* Elements [first, first + count) as numbers, in pieces; all into `to`, or each piece, of f32 or i32, to
 * `look` (which says whether to go on). */
typedef bool (*look_at)(void *context, int64_t first, int64_t count, const void *numbers);

static yoke_status walk(const yki_npy *npy, int64_t first, int64_t count, yki_npy_as as, void *to,
                        look_at look, void *context)
{
    yki_npy_convert convert = npy->type->convert[as];
    int64_t out_wide = as == YKI_NPY_REAL ? sizeof(double) : sizeof(float);
    unsigned char bytes[8 * PIECE_ELEMENTS];
    union {
        float floats[PIECE_ELEMENTS];
        int32_t integers[PIECE_ELEMENTS];
    } numbers;
    int wide = npy->type->bytes;
    for (int64_t done = 0; done < count; done += PIECE_ELEMENTS) {
        int64_t piece = count - done < PIECE_ELEMENTS ? count - done : PIECE_ELEMENTS;
        void *out = to ? (unsigned char *)to + out_wide * done : (void *)&numbers;
        YKI_TRY(yki_file_read(&npy->file, npy->elements + (first + done) * wide, bytes, piece * wide));
        int64_t good = convert(bytes, piece, out);
        if (good < piece) return refuse(npy, first + done + good, bytes + good * wide, as);
        if (look && !look(context, first + done, piece, out)) break;
    }
    return YOKE_OK;
}

yoke_status yki_npy_read(const yki_npy *npy, int64_t index, yki_npy_as as, void *to)
{
    return walk(npy, index * npy->row_elements, npy->row_elements, as, to, NULL, NULL);
}

static bool widen(void *context, int64_t first, int64_t count, const void *numbers)
{
    yki_range *range = context;
    const int32_t *integers = numbers;
    (void)first;
    for (int64_t i = 0; i < count; i++) {
        bool counted = integers[i] >= 0;
        range->uncounted += !counted;
        range->least = counted && integers[i] < range->least ? integers[i] : range->least;
        range->most = integers[i] > range->most ? integers[i] : range->most;
    }
    return true;
}

yoke_status yki_npy_scan(const yki_npy *npy, yki_npy_as as, yki_range *range_out)
{
    bool ranges = as == YKI_NPY_INTEGER || as == YKI_NPY_CLASS;
    *range_out = (yki_range){.least = INT32_MAX, .most = -1};
    return walk(npy, 0, npy->row_elements * npy->dims[0], as, NULL, ranges ? widen : NULL, range_out);
}

typedef struct wanted {
    int64_t limit, position, value;
} wanted;

static bool find(void *context, int64_t first, int64_t count, const void *numbers)
{
    wanted *w = context;
    const int32_t *integers = numbers;
    for (int64_t i = 0; i < count; i++)
        if (integers[i] >= w->limit) {
            w->position = first + i;
            w->value = integers[i];
            return false;
        }
    return true;
}

yoke_status yki_npy_find(const yki_npy *npy, yki_npy_as as, int64_t limit, int64_t *position_out,
                         int64_t *value_out)
{
    wanted w = {.limit = limit};
    YKI_TRY(walk(npy, 0, npy->row_elements * npy->dims[0], as, NULL, find, &w));
    *position_out = w.position;
    *value_out = w.value;
    return YOKE_OK;
}
