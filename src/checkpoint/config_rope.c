/* Rotary positions in config.json. Older files: rope_theta and rope_scaling; newer: both in rope_parameters.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "base/json_file.h"
#include "checkpoint/config.h"

/* Llama 3.1's stretched positions; every number must be there. */
static yoke_status read_llama3_rope(const char *path, const char *home_key, json_t *home,
                                    yoke_rope_scaling *scaling)
{
    static const char *const keys[] = {"factor", "low_freq_factor", "high_freq_factor",
                                       "original_max_position_embeddings"};
    yoke_rope_scaling read = {0};
    double *const fields[] = {&read.factor, &read.low, &read.high, &read.context};
    char key[80], shown[YKI_QUOTE_BYTES];
    for (int i = 0; i < 4; i++) {
        snprintf(key, sizeof key, "%s.%s", home_key, keys[i]);
        json_t *value = json_object_get(home, keys[i]);
        if (!value || json_is_null(value))
            return yki_fail_at(YOKE_INVALID, path, 0, key, "is missing; rope of type 'llama3' needs it");
        YKI_TRY(yki_config_real(path, key, value, 0, 1e12, "", fields[i]));
    }
    if (read.context != floor(read.context))
        return yki_fail_at(YOKE_INVALID, path, 0, key, "is %s; it must be a whole number",
                           yki_config_shown(shown, json_object_get(home, keys[3])));
    if (read.factor < 1 || read.context < 1)
        return yki_fail_at(YOKE_INVALID, path, 0, home_key,
                           "has a factor of %g for a context of %g; each must be at least 1", read.factor,
                           read.context);
    if (read.high <= read.low)
        return yki_fail_at(YOKE_INVALID, path, 0, home_key,
                           "has a high_freq_factor of %s, which must be above low_freq_factor, %g",
                           yki_config_shown(shown, json_object_get(home, keys[2])), read.low);
    *scaling = read;
    return YOKE_OK;
}

/* All turns longer by one factor. */
static yoke_status read_linear_rope(const char *path, const char *home_key, json_t *home,
                                    yoke_rope_scaling *scaling)
{
    char key[80];
    json_t *factor = json_object_get(home, "factor");
    snprintf(key, sizeof key, "%s.factor", home_key);
    *scaling = (yoke_rope_scaling){0};
    if (!factor || json_is_null(factor))
        return yki_fail_at(YOKE_INVALID, path, 0, key, "is missing; rope of type 'linear' needs it");
    YKI_TRY(yki_config_real(path, key, factor, 0, 1e12, "", &scaling->factor));
    if (scaling->factor < 1)
        return yki_fail_at(YOKE_INVALID, path, 0, key, "is %g; it must be at least 1", scaling->factor);
    return YOKE_OK;
}

static yoke_status read_plain_rope(const char *path, const char *home_key, json_t *home,
                                   yoke_rope_scaling *scaling)
{
    (void)path, (void)home_key, (void)home;
    *scaling = (yoke_rope_scaling){0};
    return YOKE_OK;
}

typedef struct rope_type {
    const char *name;
    yoke_status (*read)(const char *path, const char *home_key, json_t *home, yoke_rope_scaling *scaling);
} rope_type;

static const rope_type types[] = {
    {"default", read_plain_rope}, {"linear", read_linear_rope}, {"llama3", read_llama3_rope}};

/* The row of what a home says; NULL: none is computed like that. Without a type nothing is stretched. */
static const rope_type *find_type(json_t *home, json_t **said_out)
{
    json_t *said = json_object_get(home, "rope_type"), *inner;
    const char *key;
    if (!said) said = json_object_get(home, "type");
    *said_out = said ? said : home;
    if (!said && json_object_get(home, "factor")) return NULL;
    json_object_foreach(home, key, inner)
    {
        if (json_is_object(inner)) return NULL; /* one for each kind of layer */
    }
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (said ? yki_config_is(said, types[i].name) : i == 0) return &types[i];
    return NULL;
}

/* A share of each head that is turned: all of it. */
static yoke_status check_whole(const char *path, const char *key, json_t *share)
{
    char shown[YKI_QUOTE_BYTES];
    if (!share || json_is_null(share) || json_number_value(share) == 1) return YOKE_OK;
    return yki_fail_at(YOKE_INVALID, path, 0, key, "is %s, which yoke does not compute; it computes 1",
                       yki_config_shown(shown, share));
}

yoke_status yki_config_read_rope(const char *path, json_t *config, yoke_model_spec *model)
{
    static const char *const homes[] = {"rope_scaling", "rope_parameters"};
    char shown[YKI_QUOTE_BYTES];
    bool met = false;
    YKI_TRY(check_whole(path, "partial_rotary_factor", json_object_get(config, "partial_rotary_factor")));
    for (int i = 0; i < 2; i++) {
        json_t *home = json_object_get(config, homes[i]), *said = home;
        if (!home || json_is_null(home)) continue;
        const rope_type *type = json_is_object(home) ? find_type(home, &said) : NULL;
        if (!type)
            return yki_fail_at(YOKE_INVALID, path, 0, homes[i],
                               "is %s, which yoke does not compute; it computes 'default', 'linear' and "
                               "'llama3'",
                               yki_config_shown(shown, said));
        yoke_rope_scaling read;
        YKI_TRY(type->read(path, homes[i], home, &read));
        if (met && memcmp(&read, &model->rope_scaling, sizeof read) != 0)
            return yki_fail_at(YOKE_INVALID, path, 0, homes[i],
                               "differs from rope_scaling, which means the same");
        met = true;
        model->rope_scaling = read;
        YKI_TRY(check_whole(path, "rope_parameters.partial_rotary_factor",
                            json_object_get(home, "partial_rotary_factor")));
        YKI_TRY(yki_config_real(path, "rope_parameters.rope_theta", json_object_get(home, "rope_theta"), 0,
                                1e12, "model.rope_theta", &model->rope_theta));
    }
    return yki_config_real(path, "rope_theta", json_object_get(config, "rope_theta"), 10000, 1e12,
                           "model.rope_theta", &model->rope_theta);
}

void yki_config_print_rope(yki_text *text, const yoke_rope_scaling *scaling)
{
    char factor[32], low[32], high[32];
    if (scaling->factor == 0) {
        yki_text_append(text, "  \"rope_scaling\": null,\n");
        return;
    }
    if (scaling->context == 0) {
        yki_text_append(text,
                        "  \"rope_scaling\": {\n    \"factor\": %s,\n    \"rope_type\": \"linear\"\n  },\n",
                        yki_json_real(factor, scaling->factor));
        return;
    }
    yki_text_append(text,
                    "  \"rope_scaling\": {\n    \"factor\": %s,\n    \"high_freq_factor\": %s,\n"
                    "    \"low_freq_factor\": %s,\n    \"original_max_position_embeddings\": %lld,\n"
                    "    \"rope_type\": \"llama3\"\n  },\n",
                    yki_json_real(factor, scaling->factor), yki_json_real(high, scaling->high),
                    yki_json_real(low, scaling->low), (long long)scaling->context);
}
