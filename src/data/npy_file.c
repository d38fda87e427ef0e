/* Reading .npy files: the header (a Python dict of three known keys, parsed strictly), then the sizes, then
 * elements. */
#include "data/npy_file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CHUNK_ELEMENTS = 4096, HEADER_LIMIT_BYTES = 1 << 20 };

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

#define INTEGER_TYPES(X) X(b1, 1) X(u1, 1) X(i1, 1) X(u2, 2) X(i2, 2) X(u4, 4) X(i4, 4) X(u8, 8) X(i8, 8)
#define FLOAT_TYPES(X)   X(f2, 2) X(f4, 4) X(f8, 8)

#define DEFINE_TO_FLOAT(type, bytes)                                                                         \
    static int64_t type##_to_float(const unsigned char *from, int64_t count, void *to)                       \
    {                                                                                                        \
        float *floats = to;                                                                                  \
        bool finite = true;                                                                                  \
        for (int64_t i = 0; i < count; i++) {                                                                \
            floats[i] = (float)LOAD_##type(from + i * bytes);                                                \
            finite &= is_finite(floats[i]);                                                                  \
        }                                                                                                    \
        int64_t good = finite ? count : 0;                                                                   \
        while (good < count && is_finite(floats[good])) good++;                                              \
        return good;                                                                                         \
    }
/* A negative number becomes one above INT32_MAX by the cast. */
#define DEFINE_TO_INTEGER(type, bytes)                                                                       \
    static int64_t type##_to_integer(const unsigned char *from, int64_t count, void *to)                     \
    {                                                                                                        \
        int32_t *integers = to;                                                                              \
        for (int64_t i = 0; i < count; i++) {                                                                \
            uint64_t value = (uint64_t)LOAD_##type(from + i * bytes);                                        \
            if (value > INT32_MAX) return i;                                                                 \
            integers[i] = (int32_t)value;                                                                    \
        }                                                                                                    \
        return count;                                                                                        \
    }
INTEGER_TYPES(DEFINE_TO_FLOAT)
FLOAT_TYPES(DEFINE_TO_FLOAT)
INTEGER_TYPES(DEFINE_TO_INTEGER)

#define INTEGER_ROW(type, bytes) {#type, bytes, true, type##_to_float, type##_to_integer},
#define FLOAT_ROW(type, bytes)   {#type, bytes, false, type##_to_float, NULL},
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
    return yki_map_fail(&npy->map, "has a malformed npy header: %s", what);
}

static yoke_status parse_shape(yki_npy *npy, cursor *c)
{
    npy->ndim = 0;
    if (!take(c, '(')) return malformed(npy, "the shape is no tuple of counts");
    while (!take(c, ')')) {
        int64_t dim;
        if (!take_count(c, &dim)) return malformed(npy, "the shape is no tuple of counts");
        if (npy->ndim == YKI_NPY_MAX_DIMS)
            return yki_map_fail(&npy->map, "has more than %d dims (the samples, then at most %d)",
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
        return yki_map_fail(&npy->map, "holds records of several fields; an array of numbers is needed");
    if (!take_string(c, descr, sizeof descr) || strlen(descr) < 3 || !strchr("<>|=", descr[0]))
        return malformed(npy, "its descr is no type of numbers");
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(descr + 1, types[i].name) != 0) continue;
        if (types[i].bytes > 1 && descr[0] != '<')
            return yki_map_fail(&npy->map,
                                "holds %s numbers, which are not little-endian; save x.astype('<%s')", descr,
                                types[i].name);
        npy->type = &types[i];
        return YOKE_OK;
    }
    return yki_map_fail(
        &npy->map, "holds elements of type '%s'; f2, f4, f8, i1 to i8, u1 to u8 and b1 can be read", descr);
}

static yoke_status parse_order(const yki_npy *npy, cursor *c)
{
    if (take_word(c, "False")) return YOKE_OK;
    if (take_word(c, "True"))
        return yki_map_fail(&npy->map, "is in Fortran order; save numpy.ascontiguousarray(x)");
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
        return yki_map_fail(&npy->map, "holds a single number; the first dim must count the samples");
    npy->row_elements = 1;
    bool overflow = false;
    for (int dim = 0; dim < npy->ndim; dim++) {
        if (npy->dims[dim] == 0)
            return yki_map_fail(&npy->map, "has 0 %s: dim %d of its shape is 0",
                                dim ? "elements a sample" : "samples", dim);
        if (dim > 0)
            overflow |= __builtin_mul_overflow(npy->row_elements, npy->dims[dim], &npy->row_elements);
    }
    int64_t expected;
    overflow |= __builtin_mul_overflow(npy->row_elements, npy->dims[0], &expected);
    overflow |= __builtin_mul_overflow(expected, (int64_t)npy->type->bytes, &expected);
    overflow |= __builtin_add_overflow(expected, header_bytes, &expected);
    if (overflow) return yki_map_fail(&npy->map, "has a shape with more bytes than can be counted");
    if (npy->map.size != expected)
        return yki_map_fail(&npy->map, "has %lld bytes; the shape and type in its header make %lld: it is %s",
                            (long long)npy->map.size, (long long)expected,
                            npy->map.size < expected ? "cut off" : "too long");
    npy->elements = npy->map.bytes + header_bytes;
    return YOKE_OK;
}

static yoke_status open_mapped(yki_npy *npy)
{
    const yki_map *map = &npy->map;
    if (map->size < 10 || memcmp(map->bytes, "\x93NUMPY", 6) != 0)
        return yki_map_fail_kind(map, "is no npy file: it doesn't begin with \\x93NUMPY and a version");
    int version = map->bytes[6];
    if (version < 1 || version > 3)
        return yki_map_fail(map, "is of version %d.%d of the npy format; 1.0 to 3.0 are known", version,
                            map->bytes[7]);
    int64_t start = version == 1 ? 10 : 12;
    if (map->size < start) return yki_map_fail(map, "is cut off inside its header");
    int64_t length = version == 1 ? (int64_t)yki_le16(map->bytes + 8) : (int64_t)yki_le32(map->bytes + 8);
    if (length > HEADER_LIMIT_BYTES)
        return yki_map_fail(map, "has an npy header of %lld bytes; one of at most %d is believed",
                            (long long)length, HEADER_LIMIT_BYTES);
    if (length > map->size - start)
        return yki_map_fail(map, "has %lld bytes; its header alone takes %lld: it is cut off",
                            (long long)map->size, (long long)(start + length));
    YKI_TRY(parse_header(npy, (const char *)map->bytes + start, length));
    return check_size(npy, start + length);
}

yoke_status yki_npy_open(yki_npy *npy, const char *path)
{
    *npy = (yki_npy){0};
    YKI_TRY(yki_map_open(&npy->map, path));
    yoke_status status = open_mapped(npy);
    if (status != YOKE_OK) yki_npy_release(npy);
    return status;
}

void yki_npy_release(yki_npy *npy)
{
    yki_map_release(&npy->map);
    *npy = (yki_npy){0};
}

/* Says what is wrong with element `position` of the file. */
static yoke_status refuse(const yki_npy *npy, int64_t position, bool integer)
{
    const unsigned char *at = npy->elements + position * npy->type->bytes;
    long long sample = position / npy->row_elements, element = position % npy->row_elements;
    float as_float;
    npy->type->to_float(at, 1, &as_float);
    if (!integer)
        return yki_map_fail(&npy->map,
                            "sample %lld (element %lld of its row) is %s; data must be finite in 32 bits",
                            sample, element,
                            as_float != as_float ? "NaN"
                            : as_float > 0       ? "infinite"
                                                 : "minus infinite");
    return yki_map_fail(
        &npy->map,
        "sample %lld (element %lld of its row) is %.9g; ids and classes are 0 to %ld (save other "
        "integers as float32)",
        sample, element, (double)as_float, (long)INT32_MAX);
}

yoke_status yki_npy_read(const yki_npy *npy, int64_t index, bool integer, void *to)
{
    yki_npy_convert convert = integer ? npy->type->to_integer : npy->type->to_float;
    int64_t first = index * npy->row_elements;
    int64_t good = convert(npy->elements + first * npy->type->bytes, npy->row_elements, to);
    return good == npy->row_elements ? YOKE_OK : refuse(npy, first + good, integer);
}

yoke_status yki_npy_scan(const yki_npy *npy, bool integer)
{
    yki_npy_convert convert = integer ? npy->type->to_integer : npy->type->to_float;
    union {
        float floats[CHUNK_ELEMENTS];
        int32_t integers[CHUNK_ELEMENTS];
    } buffer;
    int64_t total = npy->row_elements * npy->dims[0];
    for (int64_t first = 0; first < total; first += CHUNK_ELEMENTS) {
        int64_t count = total - first < CHUNK_ELEMENTS ? total - first : CHUNK_ELEMENTS;
        int64_t good = convert(npy->elements + first * npy->type->bytes, count, &buffer);
        if (good < count) return refuse(npy, first + good, integer);
    }
    return YOKE_OK;
}
