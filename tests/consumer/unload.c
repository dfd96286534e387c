/* SPDX-License-Identifier: MIT */

/*
 * A program that loads the library, uses it, unloads it, and goes on with SQLite and fork(), as hosts of plug-ins do.
 * What the library has asked of SQLite and of the system must not lead to where it was.
 */
#include <ctrack.h>
#include <dlfcn.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void *find(void *library, const char *name)
{
    void *found = dlsym(library, name);
    if (found == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    return found;
}

static void use_library(const char *path)
{
    ctrack_status (*opens)(const char *, const ctrack_options *, ctrack **, ctrack_error *);
    ctrack_status (*closes)(ctrack *, ctrack_error *);
    void *library = dlopen("libctrack.so", RTLD_NOW | RTLD_LOCAL), *symbol;
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    ctrack *tracker = NULL;
    ctrack_error error = {.message = ""};
    symbol = find(library, "ctrack_open");
    memcpy(&opens, &symbol, sizeof opens);
    symbol = find(library, "ctrack_close");
    memcpy(&closes, &symbol, sizeof closes);
    if (opens(path, NULL, &tracker, &error) != CTRACK_OK || closes(tracker, &error) != CTRACK_OK) {
        fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
    dlclose(library);
}

int main(void)
{
    sqlite3 *db = NULL;
    use_library("consumer.db");
    if (sqlite3_open("consumer.db", &db) != SQLITE_OK ||
        sqlite3_exec(db, "CREATE TABLE own (x); INSERT INTO own SELECT count(*) FROM ctrack_progress", NULL, NULL,
                     NULL) != SQLITE_OK) {
        fprintf(stderr, "%s\n", sqlite3_errmsg(db));
        return 1;
    }
    sqlite3_close(db);
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        _exit(0);
    }
    waitpid(child, &status, 0);
    return status == 0 ? 0 : 1;
}
