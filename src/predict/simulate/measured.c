/* What was measured, asked for shapes that were not: the logarithm of a launch's time per unit of its work is
 * taken for a plane over the logarithms of the shape's numbers, fitted to what was measured, the nearest most
 * (locally weighted regression; Cleveland, 1979). A shape that was measured is met as it is. */
#include <math.h>
#include <string.h>

#include "backend/signature.h"
#include "predict/simulate/cost.h"

enum { UNKNOWNS = YOKE_MACHINE_DIMS + 2 }; /* the value there; slopes by dims and threads */

/* --- kernels --- */

/* What a launch's time is in proportion to, roughly: its arithmetic, or the bytes of its operands. */
static double amount_of(const yoke_machine_kernel *row)
{
    double flops = yoke_machine_kernel_flops(row, NULL);
    return flops > 0 ? flops : yoke_machine_kernel_bytes(row);
}

typedef struct fit {
    int n; /* unknowns */
    double a[UNKNOWNS][UNKNOWNS], b[UNKNOWNS], least, most;
} fit;

/* A point: how far it is along each dimension, and the value there. */
static void add_point(fit *f, const double *x, double value)
{
    double distance = 0;
    for (int i = 1; i < f->n; i++) distance += x[i] * x[i];
    double weight = 1 / ((distance + 0.02) * (distance + 0.02));
    for (int i = 0; i < f->n; i++) {
        f->b[i] += weight * x[i] * value;
        for (int j = 0; j < f->n; j++) f->a[i][j] += weight * x[i] * x[j];
    }
    f->least = fmin(f->least, value), f->most = fmax(f->most, value);
}

/* The plane's value where all x are 0; what points say nothing of is level. */
static double solve(fit *f)
{
    for (int i = 1; i < f->n; i++) f->a[i][i] += 0.1;
    for (int i = f->n - 1; i > 0; i--) /* from the last, so that the first remains */
        for (int r = 0; r < i; r++) {
            double factor = f->a[r][i] / f->a[i][i];
            for (int c = 0; c <= i; c++) f->a[r][c] -= factor * f->a[i][c];
            f->b[r] -= factor * f->b[i];
        }
    return fmax(fmin(f->b[0] / f->a[0][0], f->most + 0.3), f->least - 0.3);
}

void yki_launch_dims(const yki_launch *launch, int64_t dims[YOKE_MACHINE_DIMS])
{
    const yki_signature *signature = yki_kernel_signature(launch->kernel);
    const char *letters = yoke_machine_kernel_letters(launch->kernel);
    memset(dims, 0, sizeof *dims * YOKE_MACHINE_DIMS);
    for (int w = 0; w < launch->nviews && w < signature->nwords; w++) {
        const yki_word *word = &signature->words[w];
        for (int k = 0; k < word->nletters && k < launch->views[w].ndim; k++) {
            const char *at = strchr(letters, word->letters[k]);
            if (at) dims[at - letters] = launch->views[w].dims[k];
        }
    }
}

double yki_measured_kernel(const yki_costs *costs, yki_kernel kernel, bool bf16, const int64_t *dims)
{
    const char *letters = yoke_machine_kernel_letters(kernel);
    yoke_machine_kernel wanted = {.kernel = (int)kernel, .precision = costs->precision[bf16]};
    memcpy(wanted.dims, dims, sizeof wanted.dims);
    double amount = amount_of(&wanted);
    fit f = {.n = 2, .least = INFINITY, .most = -INFINITY};
    while (letters[f.n - 2]) f.n++;
    for (int i = costs->first[kernel]; i < costs->first[kernel + 1]; i++) {
        const yoke_machine_kernel *row = &costs->machine->kernels[i];
        double x[UNKNOWNS] = {1}, of = amount_of(row);
        bool same = row->threads == costs->threads;
        if (row->precision != costs->precision[bf16] || !(of > 0)) continue;
        for (int k = 0; letters[k]; k++) {
            bool apart = row->dims[k] != dims[k];
            if (apart && row->dims[k] > 0 && dims[k] > 0)
                x[1 + k] = log2((double)row->dims[k] / (double)dims[k]);
            same &= !apart;
        }
        if (same) return row->seconds;
        x[f.n - 1] = 4 * log2((double)row->threads / costs->threads); /* another team is another machine */
        add_point(&f, x, log(row->seconds / of));
    }
    return isfinite(f.least) && amount > 0 ? amount * exp(solve(&f)) : 0;
}

/* --- movements --- */

/* Of rows of one number of ranks, by bytes: between them linear in logarithms; a smaller one takes as long as
 * the smallest, a larger one is in proportion to the largest. */
static double move_seconds(const yoke_machine_move *rows, int count, double bytes)
{
    int i = 0;
    while (i < count && (double)rows[i].bytes < bytes) i++;
    if (i == 0) return rows[0].seconds;
    if (i == count) return rows[count - 1].seconds * bytes / (double)rows[count - 1].bytes;
    const yoke_machine_move *low = &rows[i - 1], *high = &rows[i];
    double part = log(bytes / (double)low->bytes) / log((double)high->bytes / (double)low->bytes);
    return low->seconds * pow(high->seconds / low->seconds, part);
}

double yki_measured_move(const yki_costs *costs, int op, const yki_route *route, int ranks, double bytes)
{
    const yoke_machine *machine = costs->machine;
    double below = 0, seconds = 0;
    int smaller = 0;
    if (route->nlevels != 1) return 0;
    for (int i = 0, end; i < machine->nmoves; i = end) { /* the rows of each number of ranks, ascending */
        const yoke_machine_move *rows = &machine->moves[i];
        for (end = i + 1; end < machine->nmoves; end++) {
            const yoke_machine_move *next = &machine->moves[end];
            if (next->op != rows->op || next->level != rows->level || next->ranks != rows->ranks) break;
        }
        if (rows->op != op || rows->level != route->level) continue;
        seconds = move_seconds(rows, end - i, bytes);
        if (rows->ranks > ranks && below > 0) {
            double part = log((double)ranks / smaller) / log((double)rows->ranks / smaller);
            return below * pow(seconds / below, part);
        }
        if (rows->ranks >= ranks) return seconds;
        below = seconds, smaller = rows->ranks;
    }
    return seconds;
}
