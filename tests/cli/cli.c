/* SPDX-License-Identifier: MIT */
#include "cli.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

char out[CAPTURE_MAX], err[CAPTURE_MAX];

const char *input_file;
long file_size_limit;
bool ignore_interrupts;

/* In the child, between fork and exec: what is meant for standard input, output and error. */
static void become_command(const fixture *f, int input, int output, int error, const char *const arguments[])
{
    char *copies[17] = {CTRACK_COMMAND};
    for (int i = 0; arguments[i] != NULL; i++) {
        copies[i + 1] = strdup(arguments[i]);
    }
    if (chdir(f->directory) != 0 || (input >= 0 ? dup2(input, 0) < 0 : close(0) != 0) || dup2(error, 2) < 0 ||
        (output >= 0 ? dup2(output, 1) < 0 : close(1) != 0)) {
        _exit(126);
    }
    for (int descriptor = 3; descriptor < 64; descriptor++) {
        close(descriptor);
    }
    static const int signals[] = {SIGHUP, SIGINT, SIGTERM, SIGPIPE};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        signal(signals[i], SIG_DFL); /* whoever runs the tests may ignore them */
    }
    if (ignore_interrupts) {
        signal(SIGINT, SIG_IGN);
    }
    struct rlimit limit = {(rlim_t)file_size_limit, (rlim_t)file_size_limit};
    if (file_size_limit > 0) {
        signal(SIGXFSZ, SIG_IGN); /* a write fails instead */
        setrlimit(RLIMIT_FSIZE, &limit);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves none behind */
    execv(CTRACK_COMMAND, copies);
    _exit(127);
}

process start(const fixture *f, const char *output_file, const char *const arguments[])
{
    int input[2], output[2] = {-1, -1}, error[2];
    assert_int_equal(pipe(input), 0);
    assert_int_equal(pipe(error), 0);
    assert_true(output_file != NULL || pipe(output) == 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (input_file != NULL) {
            input[0] = input_file[0] == '\0' ? -1 : open(input_file, O_RDONLY);
        }
        if (output_file != NULL) {
            output[1] = output_file[0] == '\0' ? -1 : open(output_file, O_WRONLY);
        }
        become_command(f, input[0], output[1], error[1], arguments);
    }
    close(input[0]);
    close(error[1]);
    if (output[1] >= 0) {
        close(output[1]);
    }
    return (process){pid, input[1], output[0], error[0]};
}

process start_on_terminal(const fixture *f, int which, const char *const arguments[])
{
    int input[2], other[2], terminal = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0);
    struct winsize size = {.ws_row = 20, .ws_col = 100};
    assert_int_equal(ioctl(terminal, TIOCSWINSZ, &size), 0);
    assert_int_equal(pipe(input), 0);
    assert_int_equal(pipe(other), 0);
    int line = open(ptsname(terminal), O_RDWR | O_NOCTTY);
    assert_true(line >= 0);
    assert_true((which & TERMINAL_STOPPED) == 0 || tcflow(line, TCOOFF) == 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        setenv("TERM", "xterm", 1);
        become_command(f, input[0], (which & TERMINAL_OUTPUT) != 0 ? line : other[1],
                       (which & TERMINAL_ERROR) != 0 ? line : other[1], arguments);
    }
    close(input[0]);
    close(other[1]);
    close(line);
    bool output = (which & TERMINAL_OUTPUT) != 0;
    return (process){pid, input[1], output ? terminal : other[0], output ? other[0] : terminal};
}

void drop(int *descriptor)
{
    if (*descriptor >= 0) {
        close(*descriptor);
    }
    *descriptor = -1;
}

int finish(process *p, const char *input, size_t length)
{
    size_t taken[2] = {0, 0};
    char *const texts[2] = {out, err};
    signal(SIGPIPE, SIG_IGN);
    if (length == 0) {
        drop(&p->input);
    }
    while (p->output >= 0 || p->error >= 0) {
        struct pollfd ends[3] = {{p->output, POLLIN, 0}, {p->error, POLLIN, 0}, {p->input, POLLOUT, 0}};
        assert_true(poll(ends, 3, 60000) > 0);
        for (int i = 0; i < 2; i++) {
            int *end = i == 0 ? &p->output : &p->error;
            if (ends[i].revents != 0) {
                ssize_t got = read(*end, texts[i] + taken[i], CAPTURE_MAX - 1 - taken[i]);
                taken[i] += got > 0 ? (size_t)got : 0;
                if (got <= 0) {
                    drop(end);
                }
            }
        }
        if (ends[2].revents != 0) {
            ssize_t written = write(p->input, input, length < 4096 ? length : 4096);
            input += written > 0 ? written : 0;
            length -= written > 0 ? (size_t)written : 0;
            if (written < 0 || length == 0) {
                drop(&p->input);
            }
        }
    }
    drop(&p->input);
    out[taken[0]] = err[taken[1]] = '\0';
    int status;
    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int run_with(const fixture *f, const char *input, const char *const arguments[])
{
    process p = start(f, NULL, arguments);
    return finish(&p, input, strlen(input));
}

int run_into(const fixture *f, const char *file, const char *const arguments[])
{
    process p = start(f, file, arguments);
    return finish(&p, "", 0);
}

void check_exit(int actual, int expected, const char *what, int line)
{
    if (actual != expected) {
        fail_msg("line %d: %s: exit status %d, not %d\nstdout: %s\nstderr: %s", line, what, actual, expected, out, err);
    }
}

const char *name_in(const fixture *f, const char *name)
{
    static char path[600];
    snprintf(path, sizeof path, "%s/%s", f->directory, name);
    return path;
}

bool exists(const fixture *f, const char *name)
{
    return access(name_in(f, name), F_OK) == 0;
}

char *content(const fixture *f, const char *name)
{
    static char text[CAPTURE_MAX];
    FILE *file = fopen(name_in(f, name), "rb");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

void put_content(const fixture *f, const char *name, const char *text)
{
    FILE *file = fopen(name_in(f, name), "wb");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

int files_in(const fixture *f, const char *prefix)
{
    DIR *directory = opendir(f->directory);
    assert_non_null(directory);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        bool hidden = entry->d_name[0] == '.';
        count += !hidden && strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
    }
    closedir(directory);
    return count;
}

void read_until(int descriptor, char *text, size_t size, const char *part)
{
    size_t taken = 0;
    text[0] = '\0';
    while (strstr(text, part) == NULL) {
        struct pollfd end = {descriptor, POLLIN, 0};
        ssize_t got = poll(&end, 1, 60000) > 0 ? read(descriptor, text + taken, size - 1 - taken) : -1;
        if (got <= 0) {
            fail_msg("\"%s\" does not come; what came: %s", part, text);
        }
        taken += (size_t)got;
        text[taken] = '\0';
    }
}

char *array_of(int keys)
{
    char *array = malloc((size_t)keys * 48 + 3), *at = array;
    assert_non_null(array);
    at += sprintf(at, "[");
    for (int i = 0; i < keys; i++) {
        at += sprintf(at, "%s[\"document-%d:b:c\",%d]", i > 0 ? "," : "", i, i);
    }
    sprintf(at, "]");
    return array;
}
