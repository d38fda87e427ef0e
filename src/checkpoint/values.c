/* Values of a mapped tensor as f32. Elements are not aligned in the file, so each is read through memcpy;
 * they are little-endian there and must be on the host, which the assertion below holds. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/bf16.h"
#include "base/fail.h"
#include "base/text.h"
#include "checkpoint/safetensors.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "safetensors are little-endian, and so must the host be");

static float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* IEEE binary16, subnormals included, whatever the caller's mode for subnormal f32s. */
static float from_half(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 1023;
    if (exponent == 0) {
        float value = (float)fraction * 0x1p-24f;
        return sign ? -value : value;
    }
    if (exponent == 31) return from_bits(sign | 0x7f800000u | fraction << 13);
    return from_bits(sign | (exponent + 112) << 23 | fraction << 13);
}

static void read_f32(const unsigned char *data, size_t count, float *values)
{
    memcpy(values, data, count * 4);
}

static void read_f16(const unsigned char *data, size_t count, float *values)
{
    for (size_t i = 0; i < count; i++) {
        uint16_t half;
        memcpy(&half, data + 2 * i, 2);
        values[i] = from_half(half);
    }
}

static void read_bf16(const unsigned char *data, size_t count, float *values)
{
    for (size_t i = 0; i < count; i++) {
        uint16_t high;
        memcpy(&high, data + 2 * i, 2);
        values[i] = yki_bf16_to_f32(high);
    }
}

static void read_f64(const unsigned char *data, size_t count, float *values)
{
    for (size_t i = 0; i < count; i++) {
        double value;
        memcpy(&value, data + 8 * i, 8);
        values[i] = (float)value; /* past f32's range: infinity */
    }
}

static const struct {
    const char *dtype;
    size_t width_bytes;
    void (*read)(const unsigned char *data, size_t count, float *values);
} readers[] = {{"F32", 4, read_f32}, {"F16", 2, read_f16}, {"BF16", 2, read_bf16}, {"F64", 8, read_f64}};

yoke_status yki_safetensors_read_f32(const yki_safetensors *file, const yki_safetensor *tensor, int64_t first,
                                     int64_t count, float *values)
{
    (void)file;
    char quoted[YKI_QUOTE_BYTES];
    if (first < 0 || count < 0 || first > tensor->elems || count > tensor->elems - first)
        return yki_fail_at(YOKE_INVALID, tensor->path, 0, "",
                           "tensor %s has %lld elements; %lld from %lld on were asked for",
                           yki_quote(quoted, tensor->name), (long long)tensor->elems, (long long)count,
                           (long long)first);
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++)
        if (strcmp(tensor->dtype, readers[i].dtype) == 0) {
            const unsigned char *data =
                (const unsigned char *)tensor->data + (size_t)first * readers[i].width_bytes;
            if (count > 0) readers[i].read(data, (size_t)count, values);
            return YOKE_OK;
        }
    return yki_fail_at(YOKE_INVALID, tensor->path, 0, "",
                       "tensor %s has dtype %s; F32, BF16, F16 and F64 are read as numbers",
                       yki_quote(quoted, tensor->name), tensor->dtype);
}

/* Names element `index` as [i,j,...]. */
static void print_index(char *text, size_t size, const yki_safetensor *tensor, int64_t index)
{
    int64_t at[YKI_SAFETENSORS_MAX_DIMS];
    for (int i = tensor->ndim - 1; i >= 0; i--) {
        at[i] = index % tensor->dims[i];
        index /= tensor->dims[i];
    }
    size_t length = (size_t)snprintf(text, size, "[");
    for (int i = 0; i < tensor->ndim && length < size; i++)
        length += (size_t)snprintf(text + length, size - length, "%s%lld", i ? "," : "", (long long)at[i]);
    if (length < size) snprintf(text + length, size - length, "]");
}

yoke_status yki_safetensors_check_finite_part(const yki_safetensors *file, const yki_safetensor *tensor,
                                              int64_t first, int64_t count)
{
    enum { BLOCK = 1024 };
    float values[BLOCK];
    if (strchr("UIB", tensor->dtype[0]) && strcmp(tensor->dtype, "BF16") != 0)
        return YOKE_OK; /* integers and booleans */
    int64_t end = first + count;
    do {
        count = end - first < BLOCK ? end - first : BLOCK;
        YKI_TRY(yki_safetensors_read_f32(file, tensor, first, count, values));
        for (int64_t i = 0; i < count; i++) {
            if (isfinite(values[i])) continue;
            char quoted[YKI_QUOTE_BYTES], index[200];
            print_index(index, sizeof index, tensor, first + i);
            return yki_fail_at(YOKE_INVALID, tensor->path, 0, "", "tensor %s is %s at element %s",
                               yki_quote(quoted, tensor->name),
                               isnan(values[i]) ? "not a number" : "infinite", index);
        }
        first += count;
    } while (first < end);
    return YOKE_OK;
}

yoke_status yki_safetensors_check_finite(const yki_safetensors *file, const yki_safetensor *tensor)
{
    return yki_safetensors_check_finite_part(file, tensor, 0, tensor->elems);
}
