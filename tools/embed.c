/* SPDX-License-Identifier: MIT
 * Turns files into one C source: usage: embed OUT.c FILE... Defines brume_cl_files[], ended by a row with name NULL. */
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    if (argc < 3) { fprintf(stderr, "usage: embed OUT.c FILE...\n"); return 2; }
    FILE *out = fopen(argv[1], "w");
    if (!out) { perror(argv[1]); return 1; }
    fprintf(out, "/* Generated from cl/ by tools/embed.c. */\n#include \"opencl/embedded.h\"\n");
    for (int i = 2; i < argc; i++) {
        FILE *in = fopen(argv[i], "rb");
        if (!in) { perror(argv[i]); fclose(out); remove(argv[1]); return 1; }
        fprintf(out, "static const unsigned char f%d[] = {", i);
        long n = 0;
        for (int ch; (ch = fgetc(in)) != EOF; n++) fprintf(out, "%s%d,", n % 32 ? "" : "\n", ch);
        fprintf(out, "0};\n");
        fclose(in);
    }
    fprintf(out, "const struct brume_cl_file brume_cl_files[] = {\n");
    for (int i = 2; i < argc; i++) {
        const char *base = strrchr(argv[i], '/');
        fprintf(out, "    { \"%s\", (const char *)f%d, sizeof f%d - 1 },\n", base ? base + 1 : argv[i], i, i);
    }
    fprintf(out, "    { 0, 0, 0 },\n};\n");
    if (fclose(out)) { perror(argv[1]); return 1; }
    return 0;
}
