/* Our own product, compiled once per instruction set by the isa_*.c that include this file.
 *
 * A tile of MR x NR elements of C stays in registers while k runs over a block of at most KC. B comes in
 * panels of NR columns, packed k-major on the stack (f32 whatever its type, padded with zeros to whole
 * vectors), or as it lies where its rows are short and whole. A is read where it lies: by rows (k runs along
 * memory) or by columns (rows of the tile lie side by side); bf16 and far-strided columns are first copied to
 * the stack. Each element of C is the sum over k in blocks of KC, in this order, whatever the tile it falls
 * in: results do not depend on how C is split. Deliberately absent: threads (callers split C) and memory (126
 * KiB of stack). */
#include "backend/cpu/gemm.h"
#include "backend/cpu/product/vec.h"

#if defined __AVX512F__
enum { MR = 7, NV = 4 }; /* 28 sums, 4 of B, and the broadcast of A comes with the multiply-add */
#elif defined __AVX2__
enum { MR = 6, NV = 2 };
#else
enum { MR = 4, NV = 2 };
#endif
enum { NR = NV * VL, KC = 128, NC = 192, MC = 8 * MR };
enum { NEAR = 256 }; /* floats between rows up to which operands are read where they lie, not copied first */
_Static_assert(NC % NR == 0, "whole panels");
_Static_assert((KC * NC + KC * MC) * 4 <= 128 * 1024, "stack");

/* A product: C[M,N] = alpha op(A) op(B) + beta init, where init is C, or one row of N values for every row of
 * C (ld_init 0: a bias), or NULL for nothing. init is f32 like C. */
typedef struct product {
    int64_t M, N, K;
    const void *A, *B;
    yki_dtype type_a, type_b;
    bool ta, tb;
    int64_t lda, ldb;
    float alpha, beta;
    const float *init;
    int64_t ld_init;
    float *C;
    int64_t ldc;
} product;

typedef struct tile {
    int64_t k;
    const float *a, *b;
    int64_t stride_a, stride_b; /* between rows of A (by_row) or between k (by columns); between k of B */
    float alpha, beta;
    const float *init;
    int64_t ld_init;
    float *c;
    int64_t ldc;
    int tail; /* columns of the last vector */
} tile;

INLINE void tile_store(const tile *t, const int rows, const int cols, vf sum[MR][NV])
{
    UNROLL for (int i = 0; i < rows; i++)
    {
        float *c = t->c + i * t->ldc;
        const float *init = t->init + i * t->ld_init;
        UNROLL for (int j = 0; j < cols; j++)
        {
            vf x = sum[i][j] * t->alpha;
            if (j < cols - 1 || t->tail == VL) {
                if (t->init) x += vf_load(init + j * VL) * t->beta;
                vf_store(c + j * VL, x);
            } else {
                if (t->init) x += vf_load_part(init + j * VL, t->tail) * t->beta;
                vf_store_part(c + j * VL, x, t->tail);
            }
        }
    }
}

INLINE void tile_run(const tile *t, const int rows, const int cols, const bool by_row)
{
    vf sum[MR][NV];
    UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < cols; j++) sum[i][j] = vf_set(0);
    const float *a = t->a, *b = t->b;
    const int64_t stride_a = t->stride_a, stride_b = t->stride_b;
    for (int64_t k = t->k; k > 0; k--) {
        vf row[NV];
        UNROLL for (int j = 0; j < cols; j++) row[j] = vf_load(b + j * VL);
        UNROLL for (int i = 0; i < rows; i++)
        {
            vf x = vf_set(by_row ? a[i * stride_a] : a[i]);
            UNROLL for (int j = 0; j < cols; j++) sum[i][j] += x * row[j];
        }
        b += stride_b;
        a += by_row ? 1 : stride_a;
    }
    tile_store(t, rows, cols, sum);
}

/* One function for each number of rows and vectors and for each way A lies. */
#define TILE(rows, cols)                                                                                     \
    static void tile_##rows##x##cols##_rows(const tile *t)                                                   \
    {                                                                                                        \
        tile_run(t, rows, cols, true);                                                                       \
    }                                                                                                        \
    static void tile_##rows##x##cols##_columns(const tile *t)                                                \
    {                                                                                                        \
        tile_run(t, rows, cols, false);                                                                      \
    }
#define TILE_ROW(rows, cols)    tile_##rows##x##cols##_rows,
#define TILE_COLUMN(rows, cols) tile_##rows##x##cols##_columns,
#if defined __AVX512F__
#define TILE_LINE(X, rows) X(rows, 1) X(rows, 2) X(rows, 3) X(rows, 4)
#define TILE_LINES(X)      X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#elif defined __AVX2__
#define TILE_LINE(X, rows) X(rows, 1) X(rows, 2)
#define TILE_LINES(X)      X(1) X(2) X(3) X(4) X(5) X(6)
#else
#define TILE_LINE(X, rows) X(rows, 1) X(rows, 2)
#define TILE_LINES(X)      X(1) X(2) X(3) X(4)
#endif
#define TILE_DEFINE(rows) TILE_LINE(TILE, rows)
#define TILE_BY_ROW(rows) {TILE_LINE(TILE_ROW, rows)},
#define TILE_BY_COL(rows) {TILE_LINE(TILE_COLUMN, rows)},
TILE_LINES(TILE_DEFINE)

typedef void (*tile_function)(const tile *t);
static const tile_function tile_table[2][MR][NV] = {{TILE_LINES(TILE_BY_COL)}, {TILE_LINES(TILE_BY_ROW)}};

/* Columns at..at+width of B for k0..k0+k into `to`, `stride` (whole vectors) floats a k; B lies [K,N]. */
static void pack_rows(const product *p, int64_t k0, int64_t k, int64_t at, int64_t width, float *to,
                      int64_t stride)
{
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = 0; j < width; j += VL) {
            int part = width - j < VL ? (int)(width - j) : VL;
            vf_store(to + i * stride + j, vf_read(p->B, p->type_b, (k0 + i) * p->ldb + at + j, part));
        }
}

/* The same where B lies [N,K]: blocks of VL x VL are transposed in registers. */
static void pack_columns(const product *p, int64_t k0, int64_t k, int64_t at, int64_t width, float *to,
                         int64_t stride)
{
    for (int64_t j = 0; j < width; j += VL)
        for (int64_t i = 0; i < k; i += VL) {
            int part = k - i < VL ? (int)(k - i) : VL;
            vf block[VL];
            if (width - j >= VL && part == VL) {
                UNROLL for (int r = 0; r < VL; r++) block[r] =
                    vf_read(p->B, p->type_b, (at + j + r) * p->ldb + k0 + i, VL);
            } else {
                UNROLL for (int r = 0; r < VL; r++) block[r] =
                    j + r < width ? vf_read(p->B, p->type_b, (at + j + r) * p->ldb + k0 + i, part)
                                  : vf_set(0);
            }
            vf_transpose(block);
            if (part == VL) {
                UNROLL for (int r = 0; r < VL; r++) vf_store(to + (i + r) * stride + j, block[r]);
            } else {
                UNROLL for (int r = 0; r < VL; r++) if (r < part)
                    vf_store(to + (i + r) * stride + j, block[r]);
            }
        }
}

static void pack_b(const product *p, int64_t k0, int64_t k, int64_t j0, int64_t columns, float *to)
{
    for (int64_t j = 0; j < columns; j += NR) {
        int64_t width = columns - j < NR ? columns - j : NR;
        int64_t stride = (width + VL - 1) / VL * VL;
        if (p->tb)
            pack_columns(p, k0, k, j0 + j, width, to + j * k, stride);
        else
            pack_rows(p, k0, k, j0 + j, width, to + j * k, stride);
    }
}

/* Where rows i0.. of op(A) are for k0..: in place, or copied to `to`. Sets the stride and whether it runs by
 * rows. */
static const float *place_a(const product *p, int64_t i0, int64_t rows, int64_t k0, int64_t k, float *to,
                            int64_t *stride_out, bool *by_row_out)
{
    *by_row_out = !p->ta;
    *stride_out = p->lda;
    if (p->type_a == YKI_F32 && (!p->ta || p->lda <= NEAR))
        return (const float *)p->A + (p->ta ? k0 * p->lda + i0 : i0 * p->lda + k0);
    if (p->ta) {
        *stride_out = MC;
        for (int64_t i = 0; i < k; i++)
            vf_copy(to, YKI_F32, i * MC, p->A, p->type_a, (k0 + i) * p->lda + i0, rows, 1);
    } else {
        *stride_out = KC;
        for (int64_t i = 0; i < rows; i++)
            vf_copy(to, YKI_F32, i * KC, p->A, p->type_a, (i0 + i) * p->lda + k0, k, 1);
    }
    return to;
}

/* All tiles of `rows` rows of A against the panels of a block of columns. */
INLINE void multiply_block(tile *t, bool by_row, int64_t rows, int64_t columns, const float *b, bool packed,
                           const float *a, const float *init, float *c)
{
    int64_t tiles = (rows + MR - 1) / MR, i = 0;
    for (int64_t each = 0; each < tiles; each++) {
        int height = (int)(rows / tiles + (each < rows % tiles)); /* as even as they come */
        for (int64_t j = 0; j < columns; j += NR) {
            int width = columns - j < NR ? (int)(columns - j) : NR;
            int vectors = (width + VL - 1) / VL;
            t->a = a + i * (by_row ? t->stride_a : 1);
            t->b = packed ? b + j * t->k : b + j;
            if (packed) t->stride_b = vectors * VL;
            t->c = c + i * t->ldc + j;
            t->init = init ? init + i * t->ld_init + j : NULL;
            t->tail = width - (vectors - 1) * VL;
            tile_table[by_row][height - 1][vectors - 1](t);
        }
        i += height;
    }
}

static void product_run(const product *p)
{
    _Alignas(64) float packed_b[KC * NC], placed_a[KC * MC];
    if (p->M <= 0 || p->N <= 0) return;
    /* B in place: whole vectors, and rows close enough together to share pages, or too few rows of A to pay a
     * copy. */
    bool direct = !p->tb && p->type_b == YKI_F32 && p->N % VL == 0 && (p->ldb <= NEAR || p->M <= 2 * MR);
    for (int64_t j0 = 0; j0 < p->N; j0 += NC) {
        int64_t columns = p->N - j0 < NC ? p->N - j0 : NC, k0 = 0;
        do {
            int64_t k = p->K - k0 < KC ? p->K - k0 : KC;
            if (!direct) pack_b(p, k0, k, j0, columns, packed_b);
            tile t = {.k = k, .stride_b = p->ldb, .alpha = p->alpha, .ldc = p->ldc};
            t.beta = k0 ? 1 : p->beta;
            t.ld_init = k0 ? p->ldc : p->ld_init;
            const float *init = k0 ? p->C : p->init;
            for (int64_t i0 = 0; i0 < p->M; i0 += MC) {
                int64_t rows = p->M - i0 < MC ? p->M - i0 : MC;
                bool by_row;
                const float *a = place_a(p, i0, rows, k0, k, placed_a, &t.stride_a, &by_row);
                const float *b = direct ? (const float *)p->B + k0 * p->ldb + j0 : packed_b;
                multiply_block(&t, by_row, rows, columns, b, !direct, a,
                               init ? init + i0 * t.ld_init + j0 : NULL, p->C + i0 * p->ldc + j0);
            }
            k0 += KC;
        } while (k0 < p->K);
    }
}

/* The contract of yki_gemm. */
static void gemm(int ta, int tb, int64_t M, int64_t N, int64_t K, float alpha, const float *A, int64_t lda,
                 const float *B, int64_t ldb, float beta, float *C, int64_t ldc)
{
    product p = {.M = M, .N = N, .K = K, .A = A, .B = B, .ta = ta, .tb = tb, .lda = lda, .ldb = ldb};
    p.alpha = alpha;
    p.beta = beta;
    p.init = beta != 0 ? C : NULL;
    p.ld_init = ldc;
    p.C = C;
    p.ldc = ldc;
    product_run(&p);
}
