/* SPDX-License-Identifier: MIT
 * The table of tuned choices on disk: JSON whose last member is a checksum of every byte before it, so that a file that was cut
 * short or changed is not taken. Where it is taken, each choice is still checked against the node before it is used. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cache_folder.h"
#include "base/file.h"
#include "base/hash.h"
#include "brume/json.h"
#include "plan/tuning.h"

#define FORMAT "brume tuned kernels"
#define VERSION 1
#define LIMIT ((size_t)64 << 20)
#define TAIL "  \"checksum\": \"%016llx\"\n}\n"
#define TAIL_BYTES (sizeof "  \"checksum\": \"0123456789abcdef\"\n}\n" - 1)

static void tail_of(const char *text, size_t bytes, char tail[TAIL_BYTES + 1])
{
    snprintf(tail, TAIL_BYTES + 1, TAIL, (unsigned long long)brume_fnv1a(text, bytes));
}

static brume_status damaged(const char *path, const char *how)
{
    return brume_fail(BRUME_E_FORMAT, "%.600s is damaged: %s; brume tune makes it anew", path, how);
}

static brume_status check_identity(const brume_json *root, const char *path, const struct brume_tuning_id *id)
{
    const struct {
        const char *key, *want;
    } texts[] = { { "device", id->device },
                  { "platform", id->platform },
                  { "driver", id->driver },
                  { "driver_version", id->version },
                  { "kernels", id->kernels } };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *got = brume_json_string(brume_json_find(root, texts[i].key), "");
        if (strcmp(got, texts[i].want))
            return brume_fail(BRUME_E_UNSUPPORTED, "%.600s was made for %s '%.100s', this is '%.100s'; brume tune makes it anew",
                              path, texts[i].key, got, texts[i].want);
    }
    return BRUME_OK;
}

static brume_status read_entry(struct brume_tuning *t, const brume_json *v, const char *path)
{
    const char *const key = brume_json_string(brume_json_find(v, "key"), ""), *const choice =
                                                                                  brume_json_string(brume_json_find(v, "choice"),
                                                                                                    "");
    const char *const rule = brume_json_string(brume_json_find(v, "rule"), "");
    char own[BRUME_TUNING_KEY];
    struct brume_tuned e = { .key = own, .ms = brume_json_number(brume_json_find(v, "ms"), 0),
                             .rule_ms = brume_json_number(brume_json_find(v, "rule_ms"), 0) };
    if (!*key || strlen(key) >= sizeof own || !*choice || strlen(choice) >= sizeof e.choice || strlen(rule) >= sizeof e.rule)
        return damaged(path, "an entry has no key or no choice");
    strcpy(own, key);
    strcpy(e.choice, choice);
    strcpy(e.rule, rule);
    return brume_tuning_put(t, &e);
}

static brume_status read_entries(struct brume_tuning *t, const brume_json *root, const char *path,
                                 const struct brume_tuning_id *id)
{
    if (strcmp(brume_json_string(brume_json_find(root, "format"), ""), FORMAT))
        return damaged(path, "it is another kind of file");
    const int64_t version = brume_json_integer(brume_json_find(root, "version"), 0);
    if (version != VERSION)
        return brume_fail(BRUME_E_UNSUPPORTED, "%.600s has version %lld, this program reads version %d; brume tune makes it anew",
                          path, (long long)version, VERSION);
    brume_status s = check_identity(root, path, id);
    const brume_json *entries = brume_json_find(root, "entries");
    for (int64_t i = 0; s == BRUME_OK && i < brume_json_count(entries); i++) s = read_entry(t, brume_json_at(entries, i), path);
    return s;
}

brume_status brume_tuning_read(struct brume_tuning *t, const char *path, const struct brume_tuning_id *id)
{
    void *data = NULL;
    size_t bytes = 0;
    brume_json *root = NULL;
    char tail[TAIL_BYTES + 1];
    struct brume_tuning *read = brume_tuning_new(); /* all entries or none */
    brume_status s = read ? brume_file_read(path, LIMIT, &data, &bytes) : brume_fail(BRUME_E_MEMORY, "tuning: out of memory");
    if (s != BRUME_OK) goto done;
    if (bytes < TAIL_BYTES) {
        s = damaged(path, "it is cut short");
        goto done;
    }
    tail_of(data, bytes - TAIL_BYTES, tail);
    if (memcmp((const char *)data + bytes - TAIL_BYTES, tail, TAIL_BYTES)) s = damaged(path, "its checksum does not hold");
    if (s == BRUME_OK && brume_json_parse(data, bytes, path, &root) != BRUME_OK) s = damaged(path, "it is no JSON");
    if (s == BRUME_OK) s = read_entries(read, root, path, id);
    for (int i = 0; s == BRUME_OK && i < read->n; i++) s = brume_tuning_put(t, &read->entries[i]);
done:
    brume_json_free(root);
    brume_tuning_free(read);
    free(data);
    return s;
}

brume_status brume_tuning_write(const struct brume_tuning *t, const char *path, const struct brume_tuning_id *id)
{
    static const char nothing[] = "0000000000000000";
    brume_json_writer *w = brume_json_writer_new();
    if (!w) return brume_fail(BRUME_E_MEMORY, "tuning: out of memory");
    brume_json_begin_object(w, NULL);
    brume_json_put_string(w, "format", FORMAT);
    brume_json_put_int(w, "version", VERSION);
    brume_json_put_string(w, "device", id->device);
    brume_json_put_string(w, "platform", id->platform);
    brume_json_put_string(w, "driver", id->driver);
    brume_json_put_string(w, "driver_version", id->version);
    brume_json_put_string(w, "kernels", id->kernels);
    brume_json_begin_array(w, "entries", 0);
    for (int i = 0; i < t->n; i++) {
        const struct brume_tuned *e = &t->entries[i];
        brume_json_begin_object(w, NULL);
        brume_json_put_string(w, "key", e->key);
        brume_json_put_string(w, "choice", e->choice);
        brume_json_put_double(w, "ms", e->ms);
        brume_json_put_string(w, "rule", e->rule);
        brume_json_put_double(w, "rule_ms", e->rule_ms);
        brume_json_end(w);
    }
    brume_json_end(w);
    brume_json_put_string(w, "checksum", nothing);
    brume_json_end(w);
    const char *text = brume_json_writer_text(w);
    const size_t bytes = text ? strlen(text) + 1 : 0, head = bytes - TAIL_BYTES; /* with the newline that the writer leaves out */
    char tail[TAIL_BYTES + 1];
    brume_atomic *a = NULL;
    brume_status s = text ? brume_atomic_open(path, &a) : brume_fail(BRUME_E_MEMORY, "tuning: out of memory");
    if (s == BRUME_OK) {
        tail_of(text, head, tail);
        s = brume_atomic_write(a, text, head);
        if (s == BRUME_OK) s = brume_atomic_write(a, tail, TAIL_BYTES);
        if (s == BRUME_OK) s = brume_atomic_commit(a);
        else brume_atomic_abort(a);
    }
    brume_json_writer_free(w);
    return s;
}

/* "AMD_EPYC_Processor-0123456789abcdef.json": the device for a reader, and a hash of it with its platform and driver. A version
 * that changes takes the same file: what was tuned for the old one is of no use any more. */
static char *path_of(const struct brume_device *d, char why[256])
{
    struct brume_tuning_id id;
    brume_tuning_identify(d, &id);
    char name[96] = "", text[512];
    size_t n = 0;
    for (const char *c = id.device; *c && n < 40; c++)
        if (isalnum((unsigned char)*c)) name[n++] = *c;
        else if (n && name[n - 1] != '_') name[n++] = '_';
    const int bytes =
        snprintf(text, sizeof text, "%s\n%s\n%s", id.device, id.platform, d->caps.opencl && !d->caps.cpu_type ? "gpu" : "cpu");
    snprintf(name + n, sizeof name - n, "-%016llx.json", (unsigned long long)brume_fnv1a(text, (size_t)bytes));
    char *folder = brume_cache_folder("tuning", why), *path = folder ? brume_path_join(folder, name) : NULL;
    free(folder);
    return path;
}

brume_status brume_tuning_open(struct brume_device *d)
{
    struct brume_tuning *t = d->tuning = brume_tuning_new();
    struct brume_tuning_id id;
    if (!t) return brume_fail(BRUME_E_MEMORY, "tuning: out of memory");
    t->path = path_of(d, t->note);
    if (!t->path || !brume_is_file(t->path)) return BRUME_OK;
    brume_tuning_identify(d, &id);
    const brume_status s = brume_tuning_read(t, t->path, &id);
    if (s == BRUME_E_MEMORY) return s;
    if (s != BRUME_OK) {
        snprintf(t->note, sizeof t->note, "%.255s", brume_error());
        t->refused = true;
    }
    return BRUME_OK;
}

brume_status brume_tuning_save(struct brume_device *d)
{
    struct brume_tuning *t = d->tuning;
    if (!t || !t->path)
        return brume_fail(BRUME_E_IO, "tuned choices cannot be kept: %s", t ? t->note : "the device was opened without tuning");
    struct brume_tuning_id id;
    struct brume_tuning *all = brume_tuning_new();
    brume_status s = all ? brume_make_parents(t->path) : brume_fail(BRUME_E_MEMORY, "tuning: out of memory");
    brume_tuning_identify(d, &id);
    if (s == BRUME_OK && brume_is_file(t->path) && brume_tuning_read(all, t->path, &id) == BRUME_E_MEMORY) s = BRUME_E_MEMORY;
    for (int i = 0; s == BRUME_OK && i < t->n; i++) s = brume_tuning_put(all, &t->entries[i]);
    if (s == BRUME_OK) s = brume_tuning_write(all, t->path, &id);
    if (s == BRUME_OK) {
        t->refused = false;
        t->note[0] = 0;
    }
    brume_tuning_free(all);
    return s;
}
