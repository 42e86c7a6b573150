/* SPDX-License-Identifier: MIT
 * Runs a command again and again, each time with a fault at another place, and judges how it ends.
 *
 * usage: sweep LIBRARY KIND FROM STEP TO FOLDER CHECK COMMAND...
 *   LIBRARY  host_faults (KIND memory, memory+, files, files+, threads) or cl_faults (KIND MODE:CODE, such as fail:-5), as a file
 *   FROM STEP TO  the faults that are tried, counted from 1; TO 0: until the command makes fewer calls
 *   FOLDER   emptied before each run (FOLDER.start is copied to it, where there is one), then the command runs there
 *   CHECK    a shell command that runs there afterwards, with STATUS set to the exit status; it fails if something is wrong. "":
 *            none
 *
 * Right is: exit status 0, or 1 with a message that says why (memory: the word; OpenCL: the call that failed and the code),
 * within two minutes, without a signal or a finding of a sanitizer, and CHECK is content (of files that it has seen it is not
 * asked again). The last line has the counts; exit status 0: all were right. */
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

static void name_fault(int n)
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
        setenv("HOST_FAULTS_FOLDER", folder, 1);
        setenv("LD_PRELOAD", library, 1);
    }
}

static void child(int n, char **command)
{
    char out[4096];
    name_fault(n);
    snprintf(out, sizeof out, "%s.out", folder);
    if (chdir(folder) || !freopen(out, "w", stdout) || dup2(1, 2) < 0) _exit(126);
    execvp(command[0], command);
    _exit(127);
}

/* A copy of the program that waits before its main() and runs it for each fault (see host_faults.c). */
static int to_server, from_server;

static void start_server(char **command)
{
    int to[2], from[2];
    char text[32];
    if (pipe(to) || pipe(from)) exit(2);
    if (!fork()) {
        close(to[1]);
        close(from[0]);
        snprintf(text, sizeof text, "%d:%d", to[0], from[1]);
        setenv("HOST_FAULTS_SERVE", text, 1);
        name_fault(0);
        execvp(command[0], command);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    to_server = to[1];
    from_server = from[0];
}

static int run_served(int n)
{
    pid_t pid;
    int status, late = 0;
    struct pollfd answer = { .fd = from_server, .events = POLLIN };
    if (write(to_server, &n, sizeof n) != sizeof n || read(from_server, &pid, sizeof pid) != sizeof pid) {
        fprintf(stderr, "the program does not start\n");
        exit(2);
    }
    if (poll(&answer, 1, SECONDS * 1000) == 0) late = !kill(pid, SIGKILL);
    return read(from_server, &status, sizeof status) != sizeof status || late ? -1 : status;
}

static int run_new(int n, char **command)
{
    int status;
    const pid_t pid = fork();
    if (!pid) child(n, command);
    const time_t begin = time(NULL);
    pid_t ended;
    while (!(ended = waitpid(pid, &status, WNOHANG)) && time(NULL) - begin < SECONDS) usleep(1000);
    if (ended == pid) return status;
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return -1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

/* A tree of files; their names are few and short. */
static void copy(const char *from, const char *to)
{
    struct stat st;
    static char bytes[1 << 16];
    if (stat(from, &st)) return;
    if (!S_ISDIR(st.st_mode)) {
        const int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0666);
        for (ssize_t n; (n = read(in, bytes, sizeof bytes)) > 0;)
            if (write(out, bytes, (size_t)n) != n) exit(2);
        close(in);
        close(out);
        return;
    }
    mkdir(to, 0777);
    DIR *d = opendir(from);
    for (struct dirent *e; d && (e = readdir(d));) {
        char a[4096], b[4096];
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
        snprintf(a, sizeof a, "%s/%s", from, e->d_name);
        snprintf(b, sizeof b, "%s/%s", to, e->d_name);
        copy(a, b);
    }
    if (d) closedir(d);
}

static void run(int n, char **command, struct outcome *o)
{
    char path[4096], log[256] = "";
    *o = (struct outcome){ 0 };
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    mkdir(folder, 0777);
    snprintf(path, sizeof path, "%s.start", folder);
    copy(path, folder);
    snprintf(path, sizeof path, "%s.log", folder);
    remove(path);
    fflush(NULL);
    o->status = opencl ? run_new(n, command) : run_served(n);
    read_text(path, log, sizeof log);
    snprintf(path, sizeof path, "%s.out", folder);
    read_text(path, o->text, sizeof o->text);
    if (sscanf(log, "calls %d alive %d failed %63s", &o->calls, &o->alive, o->failed) < 2)
        sscanf(log, "calls %d failed %63s", &o->calls, o->failed);
}

/* Sums of what the check was content with. */
static uint64_t known[4096];
static int n_known;

/* Of a run's status and what all files in its folder hold, but for the figures of logs, which are seconds. */
static uint64_t sum;

static int add_file(const char *path, const struct stat *st, int type, struct FTW *at)
{
    static char bytes[1 << 16];
    const size_t len = strlen(path);
    const int is_log = len > 6 && !strcmp(path + len - 6, ".jsonl"), fd = type == FTW_F ? open(path, O_RDONLY) : -1;
    (void)st, (void)at;
    for (const char *p = path; *p; p++) sum = (sum ^ (unsigned char)*p) * 0x100000001b3u;
    for (ssize_t n; fd >= 0 && (n = read(fd, bytes, sizeof bytes)) > 0;)
        for (ssize_t i = 0; i < n; i++)
            if (!is_log || !strchr("0123456789.e-+", bytes[i])) sum = (sum ^ (unsigned char)bytes[i]) * 0x100000001b3u;
    sum = (sum ^ 256) * 0x100000001b3u;
    if (fd >= 0) close(fd);
    return 0;
}

static int seen(int status)
{
    sum = 0xcbf29ce484222325u ^ (uint64_t)status;
    nftw(folder, add_file, 16, FTW_PHYS);
    for (int i = 0; i < n_known; i++)
        if (known[i] == sum) return 1;
    return 0;
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
    if (status && !strncmp(kind, "memory", 6) && !strstr(o->text, "memory") && !strstr(o->text, "allocat"))
        return "the message does not tell that memory is missing";
    if (status && !strstr(o->text, "brume") && !strstr(o->text, "broken ")) return "no message";
    if (status && opencl && strncmp(kind, "silent", 6) && (!strstr(o->text, o->failed) || !strstr(o->text, "CL_")))
        return "the message does not name call and status";
    setenv("STATUS", status ? "1" : "0", 1);
    if (!*check || seen(status)) return NULL;
    const uint64_t now = sum;
    if (shell("cd '%s' && { %s; } >'%s.check' 2>&1", folder, check, folder)) {
        char path[4096], text[512];
        snprintf(path, sizeof path, "%s.check", folder);
        read_text(path, text, sizeof text);
        fprintf(stderr, "%s", text);
        return "the check afterwards fails";
    }
    if (n_known < (int)(sizeof known / sizeof *known)) known[n_known++] = now;
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
    signal(SIGPIPE, SIG_IGN);
    if (!opencl) start_server(argv + 8);
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
