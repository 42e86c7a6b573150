/* SPDX-License-Identifier: MIT
 * The OpenCL backend without graphs or plans: devices, buffers, hand-made steps, refusals. Usage: opencl [gemm]: with it, CLBlast
 * alone. Exit status 77 where there is no OpenCL device. */
#include "check.h"

#include "brume/device.h"
#include "config.h"
#include "graph/cl_launch.h"
#include "plan/backend.h"

static const struct brume_ew ew_scale = { 1, 2, "p0 * a + p1", 900 }, ew_add = { 2, 0, "a + b", 901 },
                             ew_silu = { 1, 0, "bm_silu(a)", 902 }, ew_one = { 0, 1, "p0", 903 },
                             ew_wrong = { 1, 0, "a +* no_such_name", 904 };

static double rnd(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (double)(*state >> 8) / 8388608.0 - 1.0;
}

static int says(const char *part) { return strstr(brume_error(), part) != NULL; }

static void devices_and_specs(void)
{
    brume_device_info *list = NULL;
    int n = 0;
    char note[256];
    CHECK_OK(brume_device_list(&list, &n, note));
    CHECK(n >= 1 && !strcmp(list[0].spec, "cpu"));
    for (int i = 1; i < n; i++) {
        CHECK(list[i].is_opencl && !strncmp(list[i].spec, "opencl:", 7));
        CHECK(list[i].usable || list[i].note[0]);
    }
    free(list);
    static const struct { const char *spec, *says; brume_status status; } bad[] = {
        { "gpu", "'opencl'", BRUME_E_ARG },        { "cuda:0", "'opencl'", BRUME_E_ARG },   { "cpus", "'cpu'", BRUME_E_ARG },
        { "opencl:", "opencl:0.0", BRUME_E_ARG },  { "opencl:0,1", "opencl:0.0", BRUME_E_ARG },
        { "opencl:0.0.0", "opencl:0.0", BRUME_E_ARG }, { "OpenCL", "'opencl'", BRUME_E_ARG },     { "", "'auto'", BRUME_E_ARG },
        { "opencl0", "opencl:0.0", BRUME_E_ARG }, { "opencl:99.0", "platforms", BRUME_E_ARG },
        { "opencl:0.999", "devices", BRUME_E_ARG }, { "opencl:123456.0", "opencl:0.0", BRUME_E_ARG },
        { "a very long word that is no device at all: is it?", "expected", BRUME_E_ARG },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        brume_device *d = (brume_device *)&d;
        CHECK_INT(brume_device_open(bad[i].spec, NULL, &d), bad[i].status);
        CHECK(d == NULL);
        if (!CHECK(says(bad[i].says))) fprintf(stderr, "    '%s': %s\n", bad[i].spec, brume_error());
    }
    brume_device *d;
    CHECK_INT(brume_device_open(NULL, NULL, &d), BRUME_E_ARG);
    CHECK_OK(brume_device_open("auto", NULL, &d));
    brume_device_close(d);
    brume_device_close(NULL);
}

/* Zeros of a fresh buffer are written late, but nobody may see anything else: around writes from its start, behind gaps, of odd
 * bytes. */
static void zeros(brume_device *d)
{
    static const struct { size_t at[4], bytes[4]; } writes[] = {
        { { 0, 16, 32, 48 }, { 16, 16, 16, 16 } }, { { 0, 16, 40, 20 }, { 16, 8, 8, 4 } }, { { 60, 0, 8, 4 }, { 4, 4, 4, 8 } },
        { { 0, 13, 13, 63 }, { 13, 3, 1, 1 } },    { { 4, 0, 0, 0 }, { 60, 0, 0, 4 } },
    };
    for (size_t i = 0; i < sizeof writes / sizeof *writes; i++)
        for (int n = 0; n <= 4; n++) {
            unsigned char want[64] = { 0 }, got[64], in[64];
            brume_buffer *b;
            CHECK_OK(brume_buffer_new(d, 64, &b));
            for (int j = 0; j < 2; j++) { /* a second fill is no fresh one */
                memset(want, 0, sizeof want);
                CHECK_OK(d->backend->fill(b, 0, 64, 0));
                for (int k = 0; k < n; k++) {
                    memset(in, 16 * j + k + 1, sizeof in);
                    CHECK_OK(brume_buffer_write(b, writes[i].at[k], in, writes[i].bytes[k]));
                    memcpy(want + writes[i].at[k], in, writes[i].bytes[k]);
                }
                memset(got, 0xee, sizeof got);
                CHECK_OK(brume_buffer_read(b, 0, got, 64));
                CHECK(!memcmp(got, want, 64));
            }
            brume_buffer_free(b);
        }
}

static void buffers(brume_device *d)
{
    brume_device_info info;
    brume_device_get_info(d, &info);
    brume_buffer *b, *empty, *huge;
    unsigned char in[1000], out[1000];
    for (int i = 0; i < 1000; i++) in[i] = (unsigned char)(i * 7);
    CHECK_OK(brume_buffer_new(d, 1000, &b));
    CHECK(brume_buffer_bytes(b) == 1000);
    CHECK_OK(brume_buffer_write(b, 0, in, 1000));
    CHECK_OK(brume_buffer_read(b, 0, out, 1000));
    CHECK(!memcmp(in, out, 1000));
    CHECK_OK(brume_buffer_write(b, 999, in + 3, 1));
    CHECK_OK(brume_buffer_read(b, 997, out, 3));
    CHECK(out[0] == in[997] && out[1] == in[998] && out[2] == in[3]);
    CHECK_OK(d->backend->fill(b, 8, 984, 0x7fc0deadu));
    CHECK_OK(brume_buffer_read(b, 0, out, 1000));
    uint32_t word;
    for (int i = 8; i < 992; i += 4) {
        memcpy(&word, out + i, 4);
        if (!CHECK(word == 0x7fc0deadu)) break;
    }
    CHECK(!memcmp(in, out, 8) && !memcmp(in + 992, out + 992, 7));
    CHECK_INT(brume_buffer_write(b, 990, in, 11), BRUME_E_ARG);
    CHECK_INT(brume_buffer_read(b, 1001, out, 0), BRUME_E_ARG);
    CHECK_INT(brume_buffer_read(b, SIZE_MAX, out, 2), BRUME_E_ARG);
    CHECK_INT(d->backend->fill(b, 2, 4, 0), BRUME_E_ARG);
    CHECK_OK(brume_buffer_new(d, 0, &empty));
    CHECK_OK(brume_buffer_write(empty, 0, in, 0));
    CHECK_INT(brume_buffer_new(d, (size_t)info.max_alloc_bytes + 1, &huge), BRUME_E_MEMORY);
    CHECK(huge == NULL && says("MiB"));
    brume_buffer_free(empty);
    brume_buffer_free(b);
    brume_buffer_free(NULL);
    CHECK_OK(brume_device_finish(d));
}

/* y = silu(p0 x0 + p1 + x1) [+ x2], x's with strides, against doubles. */
struct chain_case { const char *name; int ndim; int64_t dims[5]; int n_in; int64_t stride[3][5]; };
static const struct chain_case chain_cases[] = {
    { "one element", 0, { 0 }, 2, { { 0 } } },
    { "one axis", 1, { 1000 }, 2, { { 1 }, { 1 } } },
    { "short", 1, { 5 }, 2, { { 1 }, { 1 } } },
    { "long", 1, { 100003 }, 2, { { 1 }, { 1 } } },
    { "scalar", 1, { 77 }, 2, { { 1 }, { 0 } } },
    { "bias", 2, { 37, 64 }, 2, { { 64, 1 }, { 0, 1 } } },
    { "bias, odd", 2, { 9, 1037 }, 2, { { 1037, 1 }, { 0, 1 } } },
    { "bias, 3 channels", 2, { 50, 3 }, 2, { { 3, 1 }, { 0, 1 } } },
    { "per sample", 2, { 5, 3001 }, 2, { { 3001, 1 }, { 1, 0 } } },
    { "long rows", 2, { 2, 20001 }, 2, { { 20001, 1 }, { 1, 0 } } },
    { "three axes", 3, { 4, 9, 48 }, 3, { { 432, 48, 1 }, { 48, 0, 1 }, { 9, 1, 0 } } },
    { "five axes", 5, { 2, 3, 2, 3, 33 }, 3, { { 594, 198, 99, 33, 1 }, { 2, 0, 1, 0, 0 }, { 0, 99, 0, 33, 1 } } },
    { "columns", 2, { 7, 40 }, 2, { { 40, 1 }, { 1, 7 } } },
    { "axes of one", 3, { 1, 40, 1 }, 2, { { 9, 1, 5 }, { 0, 0, 0 } } },
};

static struct brume_fused make_chain(const struct chain_case *k)
{
    struct brume_fused f = { .ndim = k->ndim, .n_in = k->n_in };
    memcpy(f.dims, k->dims, sizeof k->dims);
    memcpy(f.stride, k->stride, sizeof k->stride);
    const int n = k->n_in;
    f.op[0] = (struct brume_fused_op){ .ew = &ew_scale, .p = { 1.5f, -0.25f }, .arg = { 0 } };
    f.op[1] = (struct brume_fused_op){ .ew = &ew_add, .arg = { n, 1 } };
    f.op[2] = (struct brume_fused_op){ .ew = &ew_silu, .arg = { n + 1 } };
    f.n_ops = 3;
    if (n == 3) f.op[f.n_ops++] = (struct brume_fused_op){ .ew = &ew_add, .arg = { 2, n + 2 } };
    return f;
}

#define ROOM 110000

static void chain(brume_device *d, const struct chain_case *k)
{
    static float x[3][ROOM], y[ROOM + 1];
    const struct brume_fused f = make_chain(k);
    const struct brume_node node = { .name = "chain" };
    struct brume_place in[3];
    brume_buffer *slots[4] = { NULL };
    uint32_t seed = 1;
    for (int i = 0; i < k->n_in; i++) {
        for (int e = 0; e < ROOM; e++) x[i][e] = (float)rnd(&seed);
        CHECK_OK(brume_buffer_new(d, sizeof x[i], &slots[i]));
        CHECK_OK(brume_buffer_write(slots[i], 0, x[i], sizeof x[i]));
        in[i] = (struct brume_place){ i, (uint64_t)(4 * i) }; /* input i begins at element i */
    }
    CHECK_OK(brume_buffer_new(d, sizeof y, &slots[3]));
    CHECK_OK(d->backend->fill(slots[3], 0, sizeof y, 0x7fc0deadu));
    const struct brume_step step = { .node = &node, .fused = &f, .n_in = k->n_in, .n_out = 1, .in = in, .out = { { 3, 4 } },
                                     .work = { -1, 0 }, .packed = { -1, 0 } };
    struct brume_exec *e = NULL;
    if (!CHECK_OK(d->backend->prepare(d, &step, 1, 4, &e))) fprintf(stderr, "    %s: %s\n", k->name, brume_error());
    if (e) {
        CHECK_OK(d->backend->run(e, slots, 0, 1));
        CHECK_OK(brume_buffer_read(slots[3], 0, y, sizeof y));
        int64_t n = 1;
        for (int a = 0; a < k->ndim; a++) n *= k->dims[a];
        uint32_t guard[2];
        memcpy(guard, y, 4);
        memcpy(guard + 1, y + 1 + n, 4);
        CHECK(guard[0] == 0x7fc0deadu && guard[1] == 0x7fc0deadu);
        for (int64_t i = 0; i < n; i++) {
            int64_t at[3] = { 0, 1, 2 }, rest = i;
            for (int a = k->ndim - 1; a >= 0; a--) {
                for (int j = 0; j < k->n_in; j++) at[j] += rest % k->dims[a] * k->stride[j][a];
                rest /= k->dims[a];
            }
            const double v = 1.5 * x[0][at[0]] - 0.25 + x[1][at[1]];
            const double want = v / (1 + exp(-v)) + (k->n_in == 3 ? x[2][at[2]] : 0);
            if (!CHECK_NEAR(y[1 + i], want, 2e-6)) {
                fprintf(stderr, "    %s, element %lld\n", k->name, (long long)i);
                break;
            }
        }
    }
    d->backend->exec_free(e);
    for (int i = 0; i < 4; i++) brume_buffer_free(slots[i]);
}

/* Two steps through three slots: a constant, then a sum in place; then the same plan on other buffers. */
static void steps_and_slots(brume_device *d)
{
    const struct brume_fused one = { .ndim = 1, .dims = { 100 }, .n_ops = 1, .op = { { .ew = &ew_one, .p = { 3.0f } } } };
    const struct brume_fused sum = { .ndim = 1, .dims = { 100 }, .n_in = 2, .stride = { { 1 }, { 1 } }, .n_ops = 1,
                                     .op = { { .ew = &ew_add, .arg = { 0, 1 } } } };
    const struct brume_node node = { .name = "sum" };
    const struct brume_place in[2] = { { 0, 0 }, { 1, 400 } };
    const struct brume_step steps[2] = {
        { .node = &node, .fused = &one, .n_out = 1, .out = { { 1, 400 } }, .work = { -1, 0 }, .packed = { -1, 0 } },
        { .node = &node, .fused = &sum, .n_in = 2, .n_out = 1, .in = in, .out = { { 0, 0 } },
          .work = { -1, 0 }, .packed = { -1, 0 } },
    };
    float v[100], w[100];
    for (int i = 0; i < 100; i++) v[i] = (float)i;
    brume_buffer *a, *b, *arena;
    CHECK_OK(brume_buffer_new(d, 400, &a));
    CHECK_OK(brume_buffer_new(d, 400, &b));
    CHECK_OK(brume_buffer_new(d, 800, &arena));
    CHECK_OK(brume_buffer_write(a, 0, v, 400));
    CHECK_OK(brume_buffer_write(b, 0, v, 400));
    struct brume_exec *e = NULL;
    if (!CHECK_OK(d->backend->prepare(d, steps, 2, 3, &e))) fprintf(stderr, "    %s\n", brume_error());
    if (!e) return;
    brume_buffer *slots[3] = { a, arena, NULL }; /* slot 2 is used by no step */
    CHECK_OK(d->backend->pack(e, slots));
    CHECK_OK(d->backend->run(e, slots, 0, 2));
    CHECK_OK(d->backend->run(e, slots, 0, 2));
    slots[0] = b;
    CHECK_OK(d->backend->run(e, slots, 0, 2));
    CHECK_OK(brume_buffer_read(a, 0, w, 400));
    CHECK(w[0] == 6 && w[99] == 105);
    CHECK_OK(brume_buffer_read(b, 0, w, 400));
    CHECK(w[0] == 3 && w[99] == 102);
    brume_buffer_free(b); /* a new buffer may get the address of the old one and must still be noticed */
    CHECK_OK(brume_buffer_new(d, 400, &b));
    CHECK_OK(brume_buffer_write(b, 0, v, 400));
    slots[0] = b;
    CHECK_OK(d->backend->run(e, slots, 0, 2));
    CHECK_OK(brume_buffer_read(b, 0, w, 400));
    CHECK(w[0] == 3 && w[99] == 102);
    CHECK_OK(d->backend->fill(b, 0, 400, 0));
    d->backend->exec_free(e);
    brume_buffer_free(a);
    brume_buffer_free(b);
    brume_buffer_free(arena);
}

/* An op of the test's own: y = a word, by the kernel of fill.cl; args[] choose what goes wrong. */
static const char *wanted_file = "fill.cl", *wanted_kernel = "fill", *wanted_defines = "";
static size_t wanted_local = 64;
static int extra_arg;

static void cl_word(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)
{
    (void)n; (void)c;
    struct brume_cl_launch *k = brume_cl_add(l, wanted_file, wanted_kernel, "%s", wanted_defines);
    brume_cl_size1(k, 100, wanted_local);
    brume_cl_out(k, 0);
    brume_cl_long(k, 100);
    brume_cl_int(k, 0x40000000);
    if (extra_arg) brume_cl_int(k, 1);
}

static void kernels_and_refusals(brume_device *d)
{
    const struct brume_variant variant = { .name = "any", .cl = cl_word };
    const struct brume_op op = { .name = "word", .n_out = 1 };
    struct brume_value value = { .dtype = BRUME_F32 };
    const struct brume_node node = { .op = &op, .name = "here", .n_out = 1, .out_v = { &value } };
    struct brume_step step = { .node = &node, .variant = &variant, .n_out = 1, .out = { { 0, 400 } },
                               .work = { -1, 0 }, .packed = { -1, 0 } };
    brume_buffer *slots[1];
    float y[200] = { 0 };
    CHECK_OK(brume_buffer_new(d, sizeof y, &slots[0]));
    CHECK_OK(brume_buffer_write(slots[0], 0, y, sizeof y));
    struct brume_exec *e = NULL;
    /* A group size that no device allows is cut where the kernel does not look at it. */
    for (wanted_local = 0; wanted_local <= 1u << 20; wanted_local += 1u << 20) {
        CHECK_OK(d->backend->prepare(d, &step, 1, 1, &e));
        CHECK_OK(d->backend->run(e, slots, 0, 1));
        CHECK_OK(brume_buffer_read(slots[0], 0, y, sizeof y));
        CHECK(y[99] == 0.0f && y[100] == 2.0f && y[199] == 2.0f);
        CHECK_OK(d->backend->fill(slots[0], 0, sizeof y, 0));
        d->backend->exec_free(e);
    }
    wanted_local = 64;

    extra_arg = 1;
    CHECK_INT(d->backend->prepare(d, &step, 1, 1, &e), BRUME_E_DEVICE);
    CHECK(!e && says("word 'here'") && says("4") && says("5"));
    extra_arg = 0;
    wanted_kernel = "no_such_kernel";
    CHECK_INT(d->backend->prepare(d, &step, 1, 1, &e), BRUME_E_DEVICE);
    CHECK(says("CL_INVALID_KERNEL_NAME (-46)") && says("no_such_kernel"));
    wanted_kernel = "fill";
    wanted_file = "no_such_file.cl";
    CHECK_INT(d->backend->prepare(d, &step, 1, 1, &e), BRUME_E_DEVICE);
    CHECK(says("no_such_file.cl"));
    wanted_file = "fill.cl";
    wanted_defines = "-Dfill=1";
    CHECK_INT(d->backend->prepare(d, &step, 1, 1, &e), BRUME_E_DEVICE);
    CHECK(says("CL_BUILD_PROGRAM_FAILURE (-11)") && says("-Dfill=1") && says("fill.cl") && says("build log: ") &&
          says("opencl:"));
    wanted_defines = "";
    step.out[0].slot = -1;
    CHECK_OK(d->backend->prepare(d, &step, 1, 1, &e)); /* an absent output binds to a dummy; this one must not run */
    d->backend->exec_free(e);

    const struct brume_fused wrong = { .ndim = 1, .dims = { 100 }, .n_in = 1, .stride = { { 1 } }, .n_ops = 1,
                                       .op = { { .ew = &ew_wrong, .arg = { 0 } } } };
    const struct brume_place in = { 0, 0 };
    const struct brume_step chain_step = { .node = &node, .fused = &wrong, .n_in = 1, .n_out = 1, .in = &in, .out = { { 0, 0 } },
                                           .work = { -1, 0 }, .packed = { -1, 0 } };
    CHECK_INT(d->backend->prepare(d, &chain_step, 1, 1, &e), BRUME_E_DEVICE);
    CHECK(says("CL_BUILD_PROGRAM_FAILURE") && says("no_such_name"));
    brume_buffer_free(slots[0]);
}

/* C (m, n) = op(A) op(B), batch of them, from NaN. */
static struct brume_cl_gemm gemm_case;

static void cl_gemm(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)
{
    (void)n; (void)c;
    struct brume_cl_launch *k = brume_cl_gemm(l, &gemm_case);
    brume_cl_in(k, 0);
    brume_cl_in(k, 1);
    brume_cl_out(k, 0);
}

static void gemm(brume_device *d)
{
    CHECK(d->caps.clblast);
    const struct brume_variant variant = { .name = "clblast", .cl = cl_gemm };
    const struct brume_op op = { .name = "matmul", .n_out = 1 };
    struct brume_value value = { .dtype = BRUME_F32 };
    const struct brume_value *in_v[2] = { &value, &value };
    const struct brume_node node = { .op = &op, .name = "mm", .n_in = 2, .in_v = in_v, .n_out = 1, .out_v = { &value } };
    const struct brume_place in[2] = { { 0, 256 }, { 0, 40000 } };
    const struct brume_step step = { .node = &node, .variant = &variant, .n_in = 2, .n_out = 1, .in = in, .out = { { 0, 80000 } },
                                     .work = { -1, 0 }, .packed = { -1, 0 } };
    static const struct brume_cl_gemm cases[] = {
        { false, false, 17, 33, 5, 5, 33, 33, 1, 0, 0, 0, 1.0f, 0.0f },
        { true, true, 17, 33, 5, 17, 5, 33, 1, 0, 0, 0, 0.5f, 0.0f },
        { false, true, 64, 64, 64, 64, 64, 64, 1, 0, 0, 0, 1.0f, 0.0f },
        { false, true, 9, 8, 7, 7, 7, 8, 3, 63, 56, 72, 2.0f, 0.0f },
    };
    static float host[30000];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct brume_cl_gemm *g = &cases[i];
        gemm_case = *g;
        uint32_t seed = 3;
        for (int e = 0; e < 30000; e++) host[e] = e < 20000 ? (float)rnd(&seed) : NAN;
        brume_buffer *slots[1];
        struct brume_exec *e = NULL;
        CHECK_OK(brume_buffer_new(d, sizeof host, &slots[0]));
        CHECK_OK(brume_buffer_write(slots[0], 0, host, sizeof host));
        if (!CHECK_OK(d->backend->prepare(d, &step, 1, 1, &e))) fprintf(stderr, "    %s\n", brume_error());
        if (!e) return;
        CHECK_OK(d->backend->run(e, slots, 0, 1));
        CHECK_OK(brume_buffer_read(slots[0], 0, host, sizeof host));
        for (int64_t b = 0; b < g->batch; b++)
            for (int64_t r = 0; r < g->m; r++)
                for (int64_t c = 0; c < g->n; c++) {
                    const float *x = host + 64 + b * g->stride_a, *w = host + 10000 + b * g->stride_b;
                    double want = 0;
                    for (int64_t k = 0; k < g->k; k++)
                        want += (double)(g->trans_a ? x[k * g->lda + r] : x[r * g->lda + k]) *
                                (g->trans_b ? w[c * g->ldb + k] : w[k * g->ldb + c]);
                    CHECK_NEAR(host[20000 + b * g->stride_c + r * g->ldc + c], g->alpha * want, 1e-4);
                }
        d->backend->exec_free(e);
        brume_buffer_free(slots[0]);
    }
}

int main(int argc, char **argv)
{
    const int only_gemm = argc > 1 && !strcmp(argv[1], "gemm");
    brume_device *d = NULL;
    const brume_device_options options = { .clblast = only_gemm };
    if (brume_device_open("opencl", &options, &d)) {
        printf("skipped: %s\n", brume_error());
        return 77;
    }
    if (only_gemm) {
        if (!BRUME_HAVE_CLBLAST) {
            brume_device_close(d);
            printf("skipped: built without CLBlast\n");
            return 77;
        }
        gemm(d);
    } else {
        devices_and_specs();
        zeros(d);
    buffers(d);
        /* The kernels that other kinds of device would get, too: scalar ones of GPUs, wide vectors. */
        const struct brume_caps caps = d->caps;
        for (int kind = 0; kind < 3; kind++) {
            d->caps.cpu_type = kind != 1;
            d->caps.vector_width = kind == 2 ? 16 : 8;
            for (size_t i = 0; i < sizeof chain_cases / sizeof *chain_cases; i++) chain(d, &chain_cases[i]);
        }
        d->caps = caps;
        steps_and_slots(d);
        kernels_and_refusals(d);
    }
    brume_device_close(d);
    return check_report();
}
