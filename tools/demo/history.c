/* SPDX-License-Identifier: MIT */
#include "history.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

static bool append(write_history *history, ctrack_snapshot *token)
{
    /* Room is doubled at each power of two. */
    if ((history->count & (history->count - 1)) == 0) {
        size_t room = history->count == 0 ? 1 : 2 * history->count;
        ctrack_snapshot **tokens = realloc(history->tokens, room * sizeof(ctrack_snapshot *));
        if (tokens == NULL) {
            return false;
        }
        history->tokens = tokens;
    }
    history->tokens[history->count++] = token;
    return true;
}

static bool load_line(write_history *history, const char *path, const char *line, size_t length)
{
    ctrack_error error;
    ctrack_snapshot *token = NULL;
    if (ctrack_token_parse(line, length, &token, &error) != CTRACK_OK) {
        fprintf(stderr, "%s:%zu: %s\n", path, history->count + 1, error.message);
        return false;
    }
    if (!append(history, token)) {
        fprintf(stderr, "%s:%zu: out of memory\n", path, history->count + 1);
        ctrack_snapshot_free(token);
        return false;
    }
    return true;
}

bool history_load(const char *path, write_history *history)
{
    *history = (write_history){NULL, 0};
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return false;
    }
    bool ok = true;
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    while (ok && (length = getline(&line, &size, file)) >= 0) {
        ok = load_line(history, path, line, (size_t)length);
    }
    if (ok && ferror(file)) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        ok = false;
    }
    free(line);
    fclose(file);
    if (!ok) {
        history_free(history);
    }
    return ok;
}

void history_free(write_history *history)
{
    for (size_t i = 0; i < history->count; i++) {
        ctrack_snapshot_free(history->tokens[i]);
    }
    free(history->tokens);
    *history = (write_history){NULL, 0};
}

static bool touches(const ctrack_snapshot *token, const ctrack_coordinate *key)
{
    const ctrack_coordinate *entries = ctrack_snapshot_entries(token);
    for (size_t i = 0; i < ctrack_snapshot_count(token); i++) {
        if (strcmp(entries[i].document_id, key->document_id) == 0 && strcmp(entries[i].scope, key->scope) == 0 &&
            strcmp(entries[i].branch, key->branch) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_touched_from(const write_history *history, size_t first, const ctrack_coordinate *key)
{
    for (size_t i = first; i < history->count; i++) {
        if (touches(history->tokens[i], key)) {
            return true;
        }
    }
    return false;
}

static bool is_unrepeated(const write_history *history, const ctrack_snapshot *token, size_t after)
{
    const ctrack_coordinate *entries = ctrack_snapshot_entries(token);
    for (size_t i = 0; i < ctrack_snapshot_count(token); i++) {
        if (!is_touched_from(history, after, &entries[i])) {
            return true;
        }
    }
    return false;
}

size_t history_find_unrepeated(const write_history *history, size_t before, size_t after)
{
    size_t found = history->count;
    size_t smallest = SIZE_MAX;
    for (size_t i = before; i-- > 0;) {
        size_t size = ctrack_snapshot_count(history->tokens[i]);
        if (size < smallest && is_unrepeated(history, history->tokens[i], after)) {
            found = i;
            smallest = size;
        }
    }
    return found;
}
