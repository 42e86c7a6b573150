/* SPDX-License-Identifier: MIT
 * The text of a merged kernel: each source once for every set of defines, with names of its own, its kernels turned into
 * functions that are told which work-item they are; a loop over the groups of a piece for each; and the kernel that hands out
 * pieces. */
#include "opencl/merge_source.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "opencl/internal.h"
#include "opencl/text.h"

static const char *text_of(const struct brume_cl_pending *q) { return q->source ? q->source : brume_cl_source(q->k.file); }

/* The kernel's own text, from its name to the brace at a line's start. */
static bool own_text(const struct brume_cl_pending *q, const char **begin, const char **end)
{
    const char *at = text_of(q);
    const size_t length = strlen(q->k.kernel);
    while (at && (at = strstr(at, q->k.kernel)) && at[length] != '(') at += length;
    *begin = at;
    *end = at ? strstr(at, "\n}") : NULL;
    return *end != NULL;
}

bool brume_cl_merge_fits(const struct brume_cl_pending *q)
{
    if (!q->k.kernel || !text_of(q) || strstr(text_of(q), "philox")) return false;
    for (int i = 0; i < q->k.n_args; i++)
        if (q->k.args[i].kind == BRUME_CL_LOCAL) return false;
    const char *shared = strstr(q->k.defines, "-DLOCAL=");
    if (shared && strtol(shared + strlen("-DLOCAL="), NULL, 10) != 1) return false;
    const char *begin, *end;
    if (!own_text(q, &begin, &end)) {
        /* In a header, whose groups LOCAL alone decides. */
        return shared != NULL;
    }
    static const char *const words[] = { "get_local_", "get_group_id", "barrier" };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        const char *found = strstr(begin, words[i]);
        if (found && found < end) return false;
    }
    return true;
}

static brume_status no_memory(void) { return brume_fail(BRUME_E_MEMORY, "cannot allocate the source of merged launches"); }

static bool same_unit(const struct brume_cl_pending *a, const struct brume_cl_pending *b)
{
    return text_of(a) == text_of(b) && !strcmp(a->k.defines, b->k.defines);
}

static int routine_of(struct brume_cl_routines *r, const struct brume_cl_pending *q)
{
    int u = 0;
    while (u < r->n_units && !same_unit(r->unit[u], q)) u++;
    if (u == r->n_units) r->unit[r->n_units++] = q;
    for (int i = 0; i < r->n; i++)
        if (r->unit_of[i] == u && !strcmp(r->at[i]->k.kernel, q->k.kernel)) return i;
    r->at[r->n] = q;
    r->unit_of[r->n] = u;
    return r->n++;
}

brume_status brume_cl_routines_of(const struct brume_cl_pendings *p, int parts, struct brume_cl_routines *r)
{
    const size_t n = (size_t)parts;
    *r = (struct brume_cl_routines){ .unit = calloc(n, sizeof(*r->unit)),
                                     .at = calloc(n, sizeof(*r->at)),
                                     .unit_of = calloc(n, sizeof(int)),
                                     .of_part = calloc(n, sizeof(int)) };
    if (!r->unit || !r->at || !r->unit_of || !r->of_part) return no_memory();
    for (int i = 0; i < p->n; i++)
        if (p->at[i].part >= 0) r->of_part[p->at[i].part] = routine_of(r, &p->at[i]);
    return BRUME_OK;
}

void brume_cl_routines_free(struct brume_cl_routines *r)
{
    free(r->unit);
    free(r->at);
    free(r->unit_of);
    free(r->of_part);
}

/* ---- one source with its defines ------------------------------------------------------------------------------------------- */

static void put_without_comments(struct brume_cl_text *t, const char *from)
{
    while (*from) {
        const char *comment = strstr(from, "/*"), *end = comment ? strstr(comment, "*/") : NULL;
        brume_cl_put(t, "%.*s", comment ? (int)(comment - from) : (int)strlen(from), from);
        if (!end) return;
        from = end + 2;
    }
}

/* "-DVW=8 -DKEEP" as lines of #define, or of #undef. */
static void put_defines(struct brume_cl_text *t, const char *defines, bool undef)
{
    for (const char *at = defines; (at = strstr(at, "-D"));) {
        at += 2;
        const int name = (int)strcspn(at, "= "), whole = (int)strcspn(at, " ");
        if (undef) brume_cl_put(t, "#undef %.*s\n", name, at);
        else
            brume_cl_put(t, "#define %.*s %.*s\n", name, at, whole > name ? whole - name - 1 : 1,
                         whole > name ? at + name + 1 : "1");
        at += whole;
    }
}

/* The identifier in front of `at`. */
static int identifier_before(const char *at, const char *line, const char **begin)
{
    const char *end = at;
    while (end > line && end[-1] == ' ') end--;
    for (*begin = end; *begin > line && (isalnum((unsigned char)(*begin)[-1]) || (*begin)[-1] == '_'); (*begin)--) {}
    return (int)(end - *begin);
}

/* What the line at `line` defines: a function, a kernel, a struct (all of them begin at a line's start). Returns the name's
 * length or 0. */
static int defined_by(const char *line, const char **name, bool *kernel)
{
    const int length = (int)strcspn(line, "\n");
    if (!isalpha((unsigned char)*line) && *line != '_') return 0;
    *kernel = false;
    if (!strncmp(line, "struct ", 7)) {
        const char *brace = memchr(line, '{', (size_t)length);
        return brace ? identifier_before(brace, line, name) : 0;
    }
    const char *open = memchr(line, '(', (size_t)length);
    const int n = open ? identifier_before(open, line, name) : 0;
    *kernel = strncmp(line, "static", 6) != 0;
    return n == 13 && !strncmp(*name, "__attribute__", 13) ? 0 : n;
}

static void put_names(struct brume_cl_text *t, const char *body, int unit, bool undef)
{
    for (const char *line = body; line && *line; line = strchr(line, '\n'), line += line != NULL) {
        const char *name;
        bool kernel;
        const int n = defined_by(line, &name, &kernel);
        if (undef && !strncmp(line, "#define ", 8)) brume_cl_put(t, "#undef %.*s\n", (int)strcspn(line + 8, " (\n"), line + 8);
        if (!n) continue;
        if (undef) brume_cl_put(t, "#undef %.*s\n", n, name);
        else if (!kernel) brume_cl_put(t, "#define %.*s %.*s_%d\n", n, name, n, name, unit);
        else
            brume_cl_put(t, "#define %.*s(...) %.*s_%d(const size_t *merged_item, const size_t *merged_items, __VA_ARGS__)\n", n,
                         name, n, name, unit);
    }
}

static void put_unit(struct brume_cl_text *t, const struct brume_cl_pending *q, int unit)
{
    struct brume_cl_text body = { 0 };
    const char *parts[BRUME_CL_HEADS];
    const int heads = brume_cl_heads(text_of(q), parts);
    for (int i = 0; i < heads; i++)
        if (!strstr(parts[i], "BRUME_MATH_H")) put_without_comments(&body, parts[i]); /* that one stands in front of all */
    put_without_comments(&body, text_of(q));
    if (body.failed) t->failed = true;
    else {
        put_defines(t, q->k.defines, false);
        put_names(t, body.at, unit, false);
        brume_cl_put(t, "%s", body.at);
        put_names(t, body.at, unit, true);
        put_defines(t, q->k.defines, true);
    }
    free(body.at);
}

/* ---- the whole ------------------------------------------------------------------------------------------------------------- */

/* The words in front of a row's arguments: see append_row() in merge.c. */
static void put_routine(struct brume_cl_text *t, const struct brume_cl_pending *q, int routine, int unit)
{
    brume_cl_put(
        t,
        "static void routine_%d(const __global ulong *t, __global char **base, const size_t first, const size_t last)\n{\n"
        "    const size_t groups[2] = { t[4], t[5] }, wide[3] = { t[7], t[8], t[9] };\n"
        "    const size_t items[3] = { t[4] * t[7], t[5] * t[8], t[6] * t[9] };\n",
        routine);
    int word = 10;
    for (int i = 0; i < q->k.n_args; i++) {
        const enum brume_cl_arg_kind kind = q->k.args[i].kind;
        if (brume_cl_is_tensor(kind)) {
            brume_cl_put(t, "    __global void *b%d = base[t[%d]];\n    const ulong a%d = t[%d];\n", i, word, i, word + 1);
            word += 2;
        } else {
            brume_cl_put(t,
                         kind == BRUME_CL_FLOAT ? "    const float a%d = as_float((uint)t[%d]);\n"
                         : kind == BRUME_CL_INT ? "    const int a%d = (int)t[%d];\n"
                                                : "    const long a%d = (long)t[%d];\n",
                         i, word);
            word++;
        }
    }
    brume_cl_put(t,
                 "    size_t gx = first %% groups[0], gy = first / groups[0] %% groups[1], gz = first / groups[0] / groups[1];\n"
                 "    for (size_t g = first; g < last; g++) {\n"
                 "        for (size_t z = 0; z < wide[2]; z++)\n            for (size_t y = 0; y < wide[1]; y++)\n"
                 "                for (size_t x = 0; x < wide[0]; x++) {\n"
                 "                    const size_t item[3] = { gx * wide[0] + x, gy * wide[1] + y, gz * wide[2] + z };\n"
                 "                    %s_%d(item, items",
                 q->k.kernel, unit);
    for (int i = 0; i < q->k.n_args; i++) brume_cl_put(t, brume_cl_is_tensor(q->k.args[i].kind) ? ", b%d, a%d" : ", a%d", i, i);
    brume_cl_put(t, ");\n                }\n        if (++gx == groups[0]) {\n            gx = 0;\n"
                 "            if (++gy == groups[1]) gy = 0, gz++;\n        }\n    }\n}\n");
}

static const char *const begin =
    "#define get_global_id(d) merged_item[d]\n"
    "#define get_global_size(d) merged_items[d]\n"
    "#define reqd_work_group_size(...) unused\n"
    "#define __kernel static\n"
    "#define __local\n";

static const char *const kernel_begin =
    "#undef __kernel\n"
    "#undef get_global_id\n"
    "#undef get_global_size\n"
    "#undef reqd_work_group_size\n"
    "__kernel __attribute__((reqd_work_group_size(1, 1, 1)))\n"
    "void " BRUME_CL_MERGED
    "(const __global ulong *table, volatile __global int *counters, const int first, const int last, const int groups,\n"
    "    __global char *base_0";

/* Counters of part s: pieces taken at 16 s, pieces done behind; behind all parts, the groups that have left. */
static const char *const kernel_middle =
    "    for (int s = first; s < last; s++) {\n"
    "        const __global ulong *t = table + table[s];\n"
    "        const int pieces = (int)t[1];\n"
    "        volatile __global int *taken = counters + 16 * s, *done = taken + 1;\n"
    "        for (int i = atomic_inc(taken); i < pieces; i = atomic_inc(taken)) {\n"
    "            const size_t begin = i * t[2], end = min((ulong)(begin + t[2]), t[3]);\n"
    "            switch ((int)t[0]) {\n";

static const char *const kernel_end =
    "            }\n"
    "            mem_fence(CLK_GLOBAL_MEM_FENCE);\n"
    "            atomic_inc(done);\n"
    "        }\n"
    "        while (*done < pieces) {}\n"
    "        mem_fence(CLK_GLOBAL_MEM_FENCE);\n"
    "    }\n"
    "    volatile __global int *left = counters + 16 * parts;\n"
    "    if (atomic_inc(left) == groups - 1) {\n"
    "        for (int s = first; s < last; s++) counters[16 * s] = counters[16 * s + 1] = 0;\n"
    "        *left = 0;\n"
    "    }\n"
    "}\n";

brume_status brume_cl_merge_source(const struct brume_cl_routines *r, int parts, int slots, char **out)
{
    struct brume_cl_text t = { 0 };
    brume_cl_put(&t, "%s", begin);
    for (int u = 0; u < r->n_units; u++) put_unit(&t, r->unit[u], u);
    for (int i = 0; i < r->n; i++) put_routine(&t, r->at[i], i, r->unit_of[i]);
    brume_cl_put(&t, "%s", kernel_begin);
    for (int i = 1; i <= slots; i++) brume_cl_put(&t, ", __global char *base_%d", i);
    brume_cl_put(&t, ")\n{\n    const int parts = %d;\n    __global char *base[] = { base_0", parts);
    for (int i = 1; i <= slots; i++) brume_cl_put(&t, ", base_%d", i);
    brume_cl_put(&t, " };\n%s", kernel_middle);
    for (int i = 0; i < r->n; i++) brume_cl_put(&t, "            case %d: routine_%d(t, base, begin, end); break;\n", i, i);
    brume_cl_put(&t, "%s", kernel_end);
    if (t.failed) {
        free(t.at);
        return no_memory();
    }
    *out = t.at;
    return BRUME_OK;
}
