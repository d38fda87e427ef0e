/* Signatures: every kernel's own launches fit it, damaged ones do not; and how kernels see tensors. */
#include "cmocka_all.h"

#include <string.h>

#include "backend/cases.h"
#include "backend/signature.h"

/* A number for every letter; C is 5 = A + B for those that join. */
static const char all_letters[] =
    "n2 R7 K3 N4 C5 O6 h8 w9 k3 s2 q1 V11 D6 T4 P10 i12 E13 o2 g14 l8 H4 G2 d6 S5 A2 B3 u2";

static void make(kernel_case *c, int kernel, yki_dtype type)
{
    case_make(c, (yki_kernel)kernel, all_letters, type, 1);
    c->launch.attr = &c->attr;
}

static void every_signature_is_read(void **state)
{
    (void)state;
    for (int k = 0; k < YKI_KERNEL_COUNT; k++) {
        const yki_signature *signature = yki_kernel_signature((yki_kernel)k);
        assert_in_range(signature->nwords, 1, YKI_MAX_VIEWS);
        assert_in_range(signature->ninputs, 0, signature->nwords);
        for (int i = 0; i < signature->nwords; i++) {
            const yki_word *word = &signature->words[i];
            assert_non_null(strchr("xXfphvszitaj", word->type));
            assert_in_range(word->nitems, 1, word->nletters);
            assert_int_equal(word->end[word->nitems - 1], word->nletters);
            assert_true(word->in_place == YKI_IN_PLACE_NO || i == signature->ninputs);
        }
    }
}

static void own_launches_fit(void **state)
{
    (void)state;
    for (int k = 0; k < YKI_KERNEL_COUNT; k++)
        for (int type = 0; type < 2; type++) {
            kernel_case c;
            make(&c, k, type ? YKI_BF16 : YKI_F32);
            if (yki_launch_misfit(&c.launch) != -1)
                fail_msg("%s: operand %d", yki_kernel_name((yki_kernel)k), yki_launch_misfit(&c.launch));
            case_release(&c);
        }
}

/* Whether another letter of the signature is the same. */
static bool is_repeated(const yki_signature *signature, char letter)
{
    int count = 0;
    for (int i = 0; i < signature->nwords; i++)
        for (int l = 0; l < signature->words[i].nletters; l++)
            count += signature->words[i].letters[l] == letter;
    return count > 1 || (letter >= '0' && letter <= '9');
}

static void expect_misfit(kernel_case *c, int operand, const char *damage)
{
    int found = yki_launch_misfit(&c->launch);
    if (found < 0)
        fail_msg("%s: nobody sees that operand %d has %s", yki_kernel_name(c->launch.kernel), operand,
                 damage);
}

static void damage_operand(kernel_case *c, const yki_signature *signature, int i)
{
    yki_view *view = &c->launch.views[i], whole = *view;
    const yki_word *word = &signature->words[i];
    view->dtype = whole.dtype == YKI_I32 ? YKI_F32 : YKI_I32;
    bool alone = word->type == 'z' && signature->nwords == 1;
    if (!alone) expect_misfit(c, i, "another type");
    *view = whole;
    view->ndim++;
    expect_misfit(c, i, "a dim more");
    *view = (yki_view){0};
    if (!word->optional) expect_misfit(c, i, "gone");
    *view = whole;
    for (int l = 0; l < word->nletters; l++) {
        view->dims[l]++;
        if (is_repeated(signature, word->letters[l])) expect_misfit(c, i, "another length");
        *view = whole;
    }
}

static void damaged_launches_do_not_fit(void **state)
{
    (void)state;
    for (int k = 0; k < YKI_KERNEL_COUNT; k++) {
        const yki_signature *signature = yki_kernel_signature((yki_kernel)k);
        kernel_case c;
        make(&c, k, YKI_BF16);
        for (int i = 0; i < signature->nwords; i++) damage_operand(&c, signature, i);
        if (c.launch.nviews < YKI_MAX_VIEWS) {
            c.launch.views[c.launch.nviews++] = c.launch.views[0];
            expect_misfit(&c, c.launch.nviews - 1, "no word");
            c.launch.nviews--;
        }
        case_release(&c);
    }
}

static void expect_view(yki_kernel kernel, int operand, bool per_sample, int ndim, const int64_t *dims,
                        int want_ndim, const int64_t *want)
{
    static const yki_attr attr = {.width = 4, .outer = 3, .global = 10, .local = 5, .inner = 2};
    const yki_word *word = &yki_kernel_signature(kernel)->words[operand];
    yki_view view = yki_word_view(word, &attr, YKI_F32, per_sample, ndim, dims);
    assert_int_equal(view.ndim, want_ndim);
    for (int i = 0; i < want_ndim; i++) assert_int_equal(view.dims[i], want[i]);
}

#define DIMS(...)                                                                                            \
    (sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[])                                        \
    {                                                                                                        \
        __VA_ARGS__                                                                                          \
    }

/* Of one sample. */
static void kernels_see_tensors_as_their_words_say(void **state)
{
    (void)state;
    expect_view(YKI_KERNEL_LINEAR, 0, true, DIMS(7, 5, 3), DIMS(35, 3));
    expect_view(YKI_KERNEL_LINEAR, 0, true, DIMS(3), DIMS(1, 3));
    expect_view(YKI_KERNEL_LINEAR, 1, false, DIMS(8, 3), DIMS(8, 3));
    expect_view(YKI_KERNEL_LAYERNORM, 4, true, 0, (int64_t[]){0}, DIMS(1));
    expect_view(YKI_KERNEL_LAYERNORM, 4, true, DIMS(7, 5), DIMS(35));
    expect_view(YKI_KERNEL_XENT_SUM, 3, true, DIMS(7, 2), DIMS(7, 2));
    expect_view(YKI_KERNEL_CONV2D, 0, true, DIMS(3, 8, 9), DIMS(1, 3, 8, 9));
    expect_view(YKI_KERNEL_BATCHNORM, 0, true, DIMS(6), DIMS(1, 6, 1));
    expect_view(YKI_KERNEL_BATCHNORM, 0, true, DIMS(6, 8, 9), DIMS(1, 6, 72));
    expect_view(YKI_KERNEL_ACTIVATE, 0, true, DIMS(6, 8), DIMS(48));
    expect_view(YKI_KERNEL_ATTENTION, 0, true, DIMS(7, 24), DIMS(1, 7, 3, 2, 4));
    expect_view(YKI_KERNEL_GQA, 1, true, DIMS(7, 12), DIMS(1, 7, 3, 4));
    expect_view(YKI_KERNEL_ATTEND, 3, true, DIMS(9, 16), DIMS(1, 9, 2, 2, 4));
    expect_view(YKI_KERNEL_DROPOUT, 0, true, DIMS(3, 10), DIMS(1, 3, 5, 2));
}

/* Attention's work is of the pairs that are seen: by areas of whole sequences, counted of parts. */
static void windows_leave_less_work(void **state)
{
    (void)state;
    static const struct {
        yki_kernel kernel;
        const char *shape;
        double pairs; /* of a query and a key, of all heads and samples */
    } cases[] = {{YKI_KERNEL_GQA, "n3 T8 H2 G2 d4 g2 u1", 3 * 2 * 64},
                 {YKI_KERNEL_GQA, "n3 T8 H2 G2 d4 g2 u1 c1", 3 * 2 * 32},
                 {YKI_KERNEL_GQA, "n3 T8 H2 G2 d4 g2 u1 c1 W2", 3 * 2 * 14},
                 {YKI_KERNEL_GQA, "n3 T8 H2 G2 d4 g2 u1 c1 W8", 3 * 2 * 32},
                 {YKI_KERNEL_ATTEND, "n1 T4 S4 H1 G1 d4 g1 u1 c1 L16", 10},
                 {YKI_KERNEL_ATTEND, "n1 T4 S4 H1 G1 d4 g1 u1 c1 L16 W2", 7},
                 {YKI_KERNEL_ATTEND, "n1 T4 S4 H1 G1 d4 g1 u1 c1 a4 L16 W3", 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kernel_case c;
        case_make(&c, cases[i].kernel, cases[i].shape, YKI_F32, 1);
        c.launch.attr = &c.attr;
        if (yki_launch_flops(&c.launch) != 4 * 4 * cases[i].pairs)
            fail_msg("%s: %g FLOPs, not %g", cases[i].shape, yki_launch_flops(&c.launch),
                     4 * 4 * cases[i].pairs);
        case_release(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_signature_is_read),
        cmocka_unit_test(own_launches_fit),
        cmocka_unit_test(damaged_launches_do_not_fit),
        cmocka_unit_test(kernels_see_tensors_as_their_words_say),
        cmocka_unit_test(windows_leave_less_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
