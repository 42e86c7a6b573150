/* SPDX-License-Identifier: MIT
 * The option parser: every type and spelling, every refusal with its exit status. */
#include "cli/options.h"

#include "check.h"

static const char *const colours[] = { "red", "green", "blue", NULL };

static int flag, colour;
static int64_t steps;
static double lr;
static const char *out;
static struct cli_list with;

static int parse(const char *line, const char **args, int *n)
{
    static char words[400];
    char *argv[20] = { (char *)"test" };
    int argc = 1;
    snprintf(words, sizeof words, "%s", line);
    for (char *w = strtok(words, " "); w && argc < 20; w = strtok(NULL, " ")) argv[argc++] = strcmp(w, "EMPTY") ? w : (char *)"";
    flag = 0, colour = 1, steps = 50, lr = 0.001, out = NULL, with.n = 0;
    struct cli_option options[] = {
        OPT_FLAG("quiet", &flag, "says nothing"), OPT_INT("steps", &steps, 1, 1000, "N", "steps"),
        OPT_FLOAT("lr", &lr, 0, 1, "X", "learning rate"), OPT_STRING("out", &out, "FILE", "where to"),
        OPT_CHOICE("colour", &colour, colours, "paint"), OPT_LIST("with", &with, "FILE", "any number"), { 0 },
    };
    const struct cli_usage u = { "test", "MODEL", "A test.", NULL, 1, 2, NULL };
    return cli_parse(&u, options, argc, argv, args, n);
}

int main(void)
{
    const char *args[2];
    int n;
    CHECK_INT(parse("m --steps 7 --lr=0.5 --out a.png --colour blue --quiet", args, &n), CLI_GO_ON);
    CHECK(n == 1 && steps == 7 && lr == 0.5 && colour == 2 && flag == 1);
    CHECK_STR(args[0], "m");
    CHECK_STR(out, "a.png");
    CHECK_INT(parse("--steps=1 --out= a b --quiet --no-quiet", args, &n), CLI_GO_ON);
    CHECK(n == 2 && steps == 1 && !flag && out && !*out);
    CHECK_INT(parse("-- --steps -", args, &n), CLI_GO_ON);
    CHECK_STR(args[0], "--steps");
    CHECK_INT(parse("- --lr 1e-3", args, &n), CLI_GO_ON);
    CHECK_INT(parse("--with a m --with=b:0.5", args, &n), CLI_GO_ON);
    CHECK_INT(with.n, 2);
    CHECK_STR(with.items[0], "a");
    CHECK_STR(with.items[1], "b:0.5");
    CHECK_INT(parse("--help", args, &n), CLI_DONE);
    CHECK_INT(parse("--nonsense -h", args, &n), CLI_DONE);
    static const char *const wrong[] = {
        "", "a b c", "a --stesp 5", "a --steps", "a --steps --quiet", "a --steps x", "a --steps 0", "a --steps 1001",
        "a --steps 5.5", "a --steps= ", "a --steps EMPTY", "a --steps 99999999999999999999", "a --lr nan", "a --lr inf",
        "a --lr 2", "a --lr 0.1x", "a --colour mauve", "a --colour bleu", "a --quiet=1", "a --no-steps", "a -x",
        "a --=", "a --steps=0x10",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (!CHECK_INT(parse(wrong[i], args, &n), CLI_USAGE)) fprintf(stderr, "    line '%s'\n", wrong[i]);
    static const char *const names[] = { "devices", "info", "train", "sample" };
    CHECK_STR(cli_nearest("trian", names, 4), "train");
    CHECK_STR(cli_nearest("smaple", names, 4), "sample");
    CHECK_STR(cli_nearest("dev", names, 4), "devices");
    CHECK(!cli_nearest("xyzzy", names, 4));
    return check_report();
}
