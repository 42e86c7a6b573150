/* SPDX-License-Identifier: MIT
 * Devices of brume compare, with what makes one differ from another of the same kind. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"

static int number(const char *s, int lo, int hi, int *to)
{
    char *end;
    const long v = strtol(s, &end, 10);
    if (end == s || *end || v < lo || v > hi) return 0;
    *to = (int)v;
    return 1;
}

static int on_off(const char *s, int *to)
{
    *to = !strcmp(s, "on") || !strcmp(s, "1");
    return *to || !strcmp(s, "off") || !strcmp(s, "0");
}

/* One KEY=VALUE; NULL or what was expected. */
static const char *set(struct compare_side *s, int opencl, const char *key, const char *value)
{
    int on;
    if (!strcmp(key, "variant")) {
        snprintf(s->variant_text, sizeof s->variant_text, "%s", value);
        s->variant = s->variant_text;
    } else if (!strcmp(key, "fusion")) {
        if (!on_off(value, &on)) return "fusion=on or fusion=off";
        s->no_fusion = !on;
    } else if (!strcmp(key, "tuning")) {
        if (!on_off(value, &on)) return "tuning=on or tuning=off";
        s->options.no_tuning = !on;
    } else if (!opencl && !strcmp(key, "threads")) {
        if (!number(value, 1, 1024, &s->options.threads)) return "threads=1 to threads=1024";
    } else if (!opencl && !strcmp(key, "isa")) {
        s->options.isa = value;
    } else if (opencl && !strcmp(key, "kind")) {
        if (strcmp(value, "cpu") && strcmp(value, "gpu")) return "kind=cpu or kind=gpu";
        s->options.kind = value;
    } else if (opencl && !strcmp(key, "clblast")) {
        if (!on_off(value, &s->options.clblast)) return "clblast=on or clblast=off";
    } else if (opencl && !strcmp(key, "cache")) {
        if (!on_off(value, &on)) return "cache=on or cache=off";
        s->options.no_cache = !on;
    } else {
        return opencl ? "one of variant, kind, clblast, cache, fusion, tuning, as in opencl:0.0:variant=any"
                      : "one of threads, isa, variant, fusion, tuning, as in cpu:threads=3";
    }
    return NULL;
}

/* The word at *at, which is ended and passed over; NULL behind the last one. */
static char *next_word(char **at)
{
    char *word = *at;
    if (!word) return NULL;
    char *end = word + strcspn(word, ":,");
    *at = *end ? end + 1 : NULL;
    *end = 0;
    return word;
}

const char *compare_side_parse(const char *text, struct compare_side *s)
{
    *s = (struct compare_side){ .text = text, .options.clblast = -1 };
    if (strlen(text) >= sizeof s->words) return "a shorter text";
    strcpy(s->words, text);
    char *at = s->words, *word = next_word(&at);
    if (strcmp(word, "cpu") && strcmp(word, "opencl") && strcmp(word, "auto"))
        return "cpu, opencl, opencl:PLATFORM.DEVICE or auto first";
    const int opencl = !strcmp(word, "opencl");
    snprintf(s->spec, sizeof s->spec, "%.20s", word);
    for (int i = 0; (word = next_word(&at)); i++) {
        char *value = strchr(word, '=');
        const char *wrong = NULL;
        if (value) {
            *value++ = 0;
            wrong = set(s, opencl, word, value);
        } else if (opencl && i == 0 && isdigit((unsigned char)*word)) {
            snprintf(s->spec, sizeof s->spec, "opencl:%.20s", word);
        } else if (s->variant && *word && strlen(s->variant) + strlen(word) + 2 < sizeof s->variant_text) {
            strcat(strcat(s->variant_text, ":"), word); /* the variant's row of parameters */
        } else {
            wrong = "KEY=VALUE behind the device";
        }
        if (wrong) return wrong;
    }
    return NULL;
}
