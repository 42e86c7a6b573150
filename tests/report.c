/* SPDX-License-Identifier: MIT
 * Pages about runs: what is in them, whatever the folder holds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "brume/file.h"
#include "brume/image.h"
#include "brume/report.h"
#include "check.h"

static char folder[64] = "/tmp/brume-report-XXXXXX";

static const char *at(const char *name)
{
    static char path[200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void put(const char *name, const char *text) { CHECK_OK(brume_file_write(at(name), text, strlen(text))); }

/* The page; free it. */
static char *page(void)
{
    FILE *f = fopen(at("report.html"), "rb");
    char *text = calloc(1, 1 << 20);
    if (!CHECK(f && text)) exit(check_report());
    CHECK(fread(text, 1, (1 << 20) - 1, f) > 100);
    fclose(f);
    return text;
}

static int count(const char *text, const char *part)
{
    int n = 0;
    for (; (text = strstr(text, part)); text += strlen(part)) n++;
    return n;
}

static void test_empty(void)
{
    CHECK_FAILS(brume_report_write(folder, NULL, 0), BRUME_E_IO, "no folder of a run");
    put("training/log.jsonl", "");
    CHECK_OK(brume_report_write(folder, NULL, 0));
    char *text = page();
    CHECK_INT(count(text, "nothing logged yet"), 4);
    CHECK_INT(count(text, "<svg"), 0);
    CHECK(!strstr(text, "refresh"));
    free(text);
}

static void test_curves(void)
{
    put("training/log.jsonl",
        "{\"step\": 1, \"loss\": 0.5, \"grad_norm\": 2, \"lr\": 1e-3, \"images_per_s\": 10, \"seconds\": 30}\n"
        "{\"step\": 2, \"loss\": 0.25, \"grad_norm\": null, \"lr\": 1e-3, \"images_per_s\": 12, \"seconds\": 90}\n"
        "{\"step\": 3, \"loss\": 0.125, \"grad_norm\": 0, \"lr\": 1e-3, \"images_per_s\": 14, \"seconds\": 5}\n"
        "{\"step\": 4, \"loss\": 0.1"); /* as a killed run leaves it */
    put("training/validation.jsonl", "{\"step\": 2, \"loss\": 0.75}\n");
    put("training/run.json",
        "{\"data\": \"<b>&\\\"x\\\"\", \"_steps\": 10, \"_parameters\": 1234567, \"_device\": \"a device\"}");
    put("training/evaluation.jsonl", "{\"fid\": 12.5, \"features\": [1, 2]}\nno JSON\n");
    CHECK_OK(brume_report_write(folder, NULL, 30));
    char *text = page();
    CHECK(strstr(text, "http-equiv=\"refresh\" content=\"30\""));
    CHECK(strstr(text, "3 of 10"));
    CHECK(strstr(text, "1.23 M"));
    CHECK(strstr(text, "1 min 35 s")); /* 90 s, and 5 s after a fresh start */
    CHECK(strstr(text, "<b>0.2917</b>")); /* (0.5 + 0.25 + 0.125) / 3 */
    CHECK(strstr(text, "data-points=\"1 0.5,2 0.25,3 0.125\""));
    CHECK(strstr(text, "data-points=\"2 0.75\""));
    CHECK(strstr(text, "data-points=\"1 2\"")); /* a gradient of 0 has no place on a log axis, null is none */
    CHECK(strstr(text, "&lt;b&gt;&amp;&quot;x&quot;") && !strstr(text, "<b>&\"x"));
    CHECK(strstr(text, "<th>fid</th><td>12.5</td>") && !strstr(text, "<th>features"));
    CHECK_INT(count(text, "<svg"), 4);
    CHECK_INT(count(text, "</svg>"), 4);
    CHECK(!strstr(text, "nan") && !strstr(text, "inf"));
    free(text);
    put("training/log.jsonl", "{\"step\": 1, \"loss\": 0.5}\n{\"step\": 2, \"loss\n{\"step\": 3}\n");
    CHECK_FAILS(brume_report_write(folder, NULL, 0), BRUME_E_FORMAT, "line 2");
}

/* Of a long log the line has a bounded number of points, and pictures of many steps are thinned out, with the last among them. */
static void test_long(void)
{
    enum { LINES = 5000 };
    char *log = malloc(LINES * 64), *end = log;
    for (int i = 1; log && i <= LINES; i++) end += sprintf(end, "{\"step\": %d, \"loss\": %.6f}\n", i, 1.0 / i);
    if (!CHECK(log)) return;
    put("training/log.jsonl", log);
    free(log);
    brume_image *im;
    if (!CHECK_OK(brume_image_new(2, 3, 3, &im))) return;
    for (int i = 1; i <= 60; i++) {
        char name[64];
        snprintf(name, sizeof name, "training/samples/step-%08d.png", i);
        CHECK_OK(brume_png_write(at(name), im));
    }
    brume_image_free(im);
    CHECK_OK(brume_report_write(folder, at("report.html"), 0));
    char *text = page();
    const char *points = strstr(text, "data-points=\""), *stop = points ? strchr(points + 13, '"') : NULL;
    int commas = 0;
    for (const char *c = points; c && c < stop; c++) commas += *c == ',';
    CHECK_INT(commas, 299);
    CHECK_INT(count(text, "data:image/png;base64,iVBORw0KGgo"), 24); /* the signature of PNG */
    CHECK(strstr(text, "step 60<") && !strstr(text, "step 59<"));
    free(text);
}

int main(void)
{
    char command[200];
    if (!CHECK(mkdtemp(folder))) return check_report();
    snprintf(command, sizeof command, "mkdir -p %s/training/samples", folder);
    CHECK_INT(system(command), 0);
    unlink(at("training/log.jsonl"));
    test_empty();
    test_curves();
    test_long();
    snprintf(command, sizeof command, "rm -r %s", folder);
    CHECK_INT(system(command), 0);
    return check_report();
}
