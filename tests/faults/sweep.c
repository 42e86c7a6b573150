/* SPDX-License-Identifier: MIT
 * Runs a command again and again, each time with a fault at another place, and judges how it ends.
 *
 * usage: sweep LIBRARY KIND FROM STEP TO FOLDER CHECK COMMAND...
 *   LIBRARY  host_faults (KIND memory, memory+, files, files+, threads) or cl_faults (KIND MODE:CODE, such as fail:-5), as a file
 *   FROM STEP TO  the faults that are tried, counted from 1; TO 0: until the command makes fewer calls
 *   FOLDER   emptied before each run (FOLDER.start is copied to it, where there is one), then the command runs there
 *   CHECK    a shell command that runs there afterwards, with STATUS set to the exit status; it fails if something is wrong. "": none
 *
 * Right is: exit status 0, or 1 with a message that says why (memory: the word; OpenCL: the call that failed and the code), within two minutes,
 * without a signal or a finding of a sanitizer, and CHECK is content. The last line has the counts; exit status 0: all were right. */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECONDS 120

static const char *library, *kind, *folder, *check;
static int opencl;

struct outcome { int status, calls, alive; char failed[64], text[8192]; }; /* status as of waitpid(), -1: it did not end */

static int shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int shell(const char *format, ...)
{
    char line[4096];
    va_list ap;
    va_start(ap, format);
    vsnprintf(line, sizeof line, format, ap);
    va_end(ap);
    return system(line);
}

static void read_text(const char *path, char *out, size_t bytes)
{
    FILE *f = fopen(path, "r");
    const size_t n = f ? fread(out, 1, bytes - 1, f) : 0;
    out[n] = 0;
    if (f) fclose(f);
}

static void child(int n, char **command)
{
    char fault[128], log[4096];
    snprintf(log, sizeof log, "%s.log", folder);
    if (opencl) {
        const char *code = strchr(kind, ':');
        snprintf(fault, sizeof fault, "%.*s:%d%s", (int)(code ? code - kind : (long)strlen(kind)), kind, n, code ? code : ":-5");
        setenv("CL_FAULTS", fault, 1);
        setenv("CL_FAULTS_LOG", log, 1);
        setenv("OPENCL_LAYERS", library, 1);
    } else {
        snprintf(fault, sizeof fault, "%s:%d", kind, n);
        setenv("HOST_FAULTS", fault, 1);
        setenv("HOST_FAULTS_LOG", log, 1);
        setenv("LD_PRELOAD", library, 1);
    }
    char out[4096];
    snprintf(out, sizeof out, "%s.out", folder);
    if (chdir(folder) || !freopen(out, "w", stdout) || dup2(1, 2) < 0) _exit(126);
    execvp(command[0], command);
    _exit(127);
}

static void run(int n, char **command, struct outcome *o)
{
    char path[4096], log[256] = "";
    *o = (struct outcome){ 0 };
    shell("rm -rf '%s' '%s.log' && if [ -d '%s.start' ]; then cp -r '%s.start' '%s'; else mkdir -p '%s'; fi", folder, folder, folder, folder, folder, folder);
    fflush(NULL);
    const pid_t pid = fork();
    if (!pid) child(n, command);
    const time_t begin = time(NULL);
    pid_t ended;
    while (!(ended = waitpid(pid, &o->status, WNOHANG)) && time(NULL) - begin < SECONDS) usleep(1000);
    if (ended != pid) {
        kill(pid, SIGKILL);
        waitpid(pid, &o->status, 0);
        o->status = -1;
    }
    snprintf(path, sizeof path, "%s.out", folder);
    read_text(path, o->text, sizeof o->text);
    snprintf(path, sizeof path, "%s.log", folder);
    read_text(path, log, sizeof log);
    if (sscanf(log, "calls %d alive %d failed %63s", &o->calls, &o->alive, o->failed) < 2) sscanf(log, "calls %d failed %63s", &o->calls, o->failed);
}

/* What is wrong with it, or NULL. */
static const char *judge(const struct outcome *o)
{
    static char why[128];
    if (o->status == -1) return "it does not end";
    if (WIFSIGNALED(o->status)) {
        snprintf(why, sizeof why, "signal %d", WTERMSIG(o->status));
        return why;
    }
    const int status = WEXITSTATUS(o->status);
    if (status > 1) {
        snprintf(why, sizeof why, "exit status %d", status);
        return why;
    }
    if (strstr(o->text, "runtime error:") || strstr(o->text, "Sanitizer:")) return "a sanitizer's finding";
    if (o->alive) return "OpenCL objects are left";
    if (status && !strncmp(kind, "memory", 6) && !strstr(o->text, "memory") && !strstr(o->text, "allocat")) return "the message does not tell that memory is missing";
    if (status && !strstr(o->text, "brume")) return "no message";
    if (status && opencl && strncmp(kind, "silent", 6) && (!strstr(o->text, o->failed) || !strstr(o->text, "CL_"))) return "the message does not name call and status";
    setenv("STATUS", status ? "1" : "0", 1);
    if (*check && shell("cd '%s' && { %s; } >'%s.check' 2>&1", folder, check, folder)) {
        char path[4096], text[512];
        snprintf(path, sizeof path, "%s.check", folder);
        read_text(path, text, sizeof text);
        fprintf(stderr, "%s", text);
        return "the check afterwards fails";
    }
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc < 9) {
        fprintf(stderr, "usage: sweep LIBRARY KIND FROM STEP TO FOLDER CHECK COMMAND...\n");
        return 2;
    }
    library = argv[1], kind = argv[2], folder = argv[6], check = argv[7];
    opencl = strstr(library, "cl_faults") != NULL;
    const int from = atoi(argv[3]), step = atoi(argv[4]), to = atoi(argv[5]), talk = getenv("SWEEP_VERBOSE") != NULL;
    int ended = 0, went_on = 0, wrong = 0, most = 0;
    for (int n = from; !to || n <= to; n += step) {
        struct outcome o;
        run(n, argv + 8, &o);
        const char *why = judge(&o);
        if (o.calls > most) most = o.calls;
        if (why || talk) printf("%s %d (%s): %s\n%s\n", kind, n, o.failed, why ? why : "right", o.text);
        fflush(stdout);
        if (why) wrong++;
        else if (!o.failed[0]) break; /* fewer calls than that */
        else if (WEXITSTATUS(o.status)) ended++;
        else went_on++;
        if (o.calls < n && o.status != -1 && !WIFSIGNALED(o.status)) break;
    }
    printf("%s of %d calls: %d runs ended with an error, %d went on, %d wrong\n", kind, most, ended, went_on, wrong);
    return wrong != 0;
}
