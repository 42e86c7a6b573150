/* SPDX-License-Identifier: MIT
 * Names of tensors in files of adapters: those of diffusers, new and old, and those of kohya. */
#include "nn/lora_names.h"

#include <stdio.h>
#include <string.h>

/* How the name of an adapter's tensor ends. */
static const struct { const char *text; enum brume_lora_role role; } endings[] = {
    { ".lora_A.weight", BRUME_LORA_DOWN }, { ".lora_B.weight", BRUME_LORA_UP },         /* peft, diffusers since 0.22 */
    { ".lora.down.weight", BRUME_LORA_DOWN }, { ".lora.up.weight", BRUME_LORA_UP },     /* what its training scripts write */
    { "_lora.down.weight", BRUME_LORA_DOWN }, { "_lora.up.weight", BRUME_LORA_UP },     /* attention processors before 0.22 */
    /* of text encoders */
    { ".lora_linear_layer.down.weight", BRUME_LORA_DOWN }, { ".lora_linear_layer.up.weight", BRUME_LORA_UP },
    { ".lora_down.weight", BRUME_LORA_DOWN }, { ".lora_up.weight", BRUME_LORA_UP },     /* kohya */
    { ".alpha", BRUME_LORA_ALPHA },
};

/* Which network a name begins with; the first that fits. keep: it is a part of the layer's name. */
static const struct { const char *text; bool of_text, flat, keep; } beginnings[] = {
    { "lora_unet_", false, true, false }, { "lora_te_", true, true, false }, { "unet.", false, false, false },
    { "text_encoder.", true, false, false },
    /* of a U-Net alone */
    { "down_blocks.", false, false, true }, { "mid_block.", false, false, true }, { "up_blocks.", false, false, true },
};

/* Replaces the first `from` of text by `to`, which is not much longer. */
static void replace(char *text, size_t size, const char *from, const char *to)
{
    char rest[2 * BRUME_NN_PATH];
    char *at = strstr(text, from);
    if (!at) return;
    snprintf(rest, sizeof rest, "%s", at + strlen(from));
    snprintf(at, size - (size_t)(at - text), "%s%s", to, rest);
}

/* Layers of attention as the networks call them today. old: the name ended on "to_q_lora" and the like. */
static void modernise(struct brume_lora_name *n, bool old)
{
    const size_t size = sizeof n->layer, length = strlen(n->layer);
    replace(n->layer, size, ".processor.", ".");
    if (n->text && old) {
        static const char *const pairs[][2] = { { "to_q", "q_proj" }, { "to_k", "k_proj" }, { "to_v", "v_proj" },
                                                { "to_out", "out_proj" } };
        for (int i = 0; i < 4; i++) replace(n->layer, size, pairs[i][0], pairs[i][1]);
    } else if (old && length > 7 && strstr(n->layer, ".to_out") == n->layer + strlen(n->layer) - 7) {
        replace(n->layer, size, ".to_out", ".to_out.0");
    }
    if (n->text && !n->flat && strncmp(n->layer, "text_model.", 11)) { /* transformers 5 calls the layers so */
        char bare[sizeof n->layer];
        memcpy(bare, n->layer, sizeof bare);
        snprintf(n->layer, size, "text_model.%.300s", bare);
    }
}

bool brume_lora_name_parse(const char *name, struct brume_lora_name *out)
{
    const size_t length = strlen(name);
    size_t begin = 0, b = 0, e = 0, n = 0;
    if (length >= 300) return false;
    for (; b < sizeof beginnings / sizeof *beginnings; b++)
        if (!strncmp(name, beginnings[b].text, begin = strlen(beginnings[b].text))) break;
    if (b == sizeof beginnings / sizeof *beginnings) return false;
    for (; e < sizeof endings / sizeof *endings; e++) {
        n = strlen(endings[e].text);
        if (length > begin + n && !strcmp(name + length - n, endings[e].text)) break;
    }
    if (e == sizeof endings / sizeof *endings) return false;
    if (beginnings[b].keep) begin = 0;
    *out = (struct brume_lora_name){ .role = endings[e].role, .text = beginnings[b].of_text, .flat = beginnings[b].flat };
    memcpy(out->layer, name + begin, length - n - begin);
    modernise(out, endings[e].text[0] == '_');
    return true;
}

bool brume_lora_name_matches(const struct brume_lora_name *n, const char *param)
{
    const size_t length = strlen(n->layer);
    if (strlen(param) != length + 7 || strcmp(param + length, ".weight")) return false;
    for (size_t i = 0; i < length; i++)
        if (n->layer[i] != (n->flat && param[i] == '.' ? '_' : param[i])) return false;
    return true;
}

void brume_lora_name_flatten(const char *name, char out[2 * BRUME_NN_PATH])
{
    const char *layer = strchr(name, '.') + 1, *end = strstr(layer, ".lora_");
    const int n =
        snprintf(out, 2 * BRUME_NN_PATH, "lora_%s_%.*s", !strncmp(name, "unet.", 5) ? "unet" : "te", (int)(end - layer), layer);
    for (int i = 0; i < n; i++)
        if (out[i] == '.') out[i] = '_';
}
