/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>

#include "options.h"
#include "output.h"

enum { FIGURES = 9, VALUE_TEXT = VERSION_TEXT };

/* What is told of a file: some figures, then the keys of each read model. */
struct figures {
    enum format format;
    size_t count;
    struct figure {
        const char *name, *member; /* for people, and for programs */
        char value[VALUE_TEXT];
        bool quoted; /* JSON needs quotes around the value */
    } items[FIGURES];
    const ctrack_read_model_list *models;
    char keys[VALUE_TEXT]; /* of the row that is being printed */
};

static struct figure *add(struct figures *figures, const char *name, const char *member, uint64_t value)
{
    struct figure *figure = &figures->items[figures->count++];
    *figure = (struct figure){.name = name, .member = member};
    snprintf(figure->value, sizeof figure->value, "%llu", (unsigned long long)value);
    return figure;
}

/* The write-ahead log has 24 bytes before each page, and a header of 32, which is less than a page:
 * https://www.sqlite.org/fileformat2.html */
static uint64_t wal_pages(const ctrack_stats *stats)
{
    return stats->wal_bytes / ((uint64_t)stats->page_bytes + 24);
}

static void collect(struct figures *figures, const ctrack_stats *stats, int schema)
{
    add(figures, "schema version", "schemaVersion", (uint64_t)schema);
    add(figures, "file size", "fileBytes", stats->file_bytes);
    add(figures, "page size", "pageBytes", (uint64_t)stats->page_bytes);
    add(figures, "WAL size", "walBytes", stats->wal_bytes);
    add(figures, "WAL pages", "walPages", wal_pages(stats));
    add(figures, "log backlog", "logBacklog", stats->log_backlog);
    struct figure *sqlite = add(figures, "SQLite version", "sqliteVersion", 0);
    sqlite->quoted = true;
    format_version(stats->sqlite_version, sqlite->value);
    struct figure *exposed = add(figures, "exposed to the WAL-reset bug", "sqliteExposed", 0);
    snprintf(exposed->value, VALUE_TEXT, "%s", stats->sqlite_exposed ? "true" : "false");
    add(figures, "read models", "readModels", ctrack_read_model_list_count(figures->models));
}

static void row_texts(size_t row, const char *texts[], void *argument)
{
    struct figures *figures = argument;
    bool people = figures->format == FORMAT_TABLE;
    if (row < figures->count) {
        const struct figure *figure = &figures->items[row];
        texts[0] = people ? figure->name : figure->member;
        texts[1] = NULL;
        texts[2] = figure->value;
        return;
    }
    const ctrack_read_model_info *info = ctrack_read_model_list_at(figures->models, row - figures->count);
    snprintf(figures->keys, sizeof figures->keys, "%llu", (unsigned long long)info->keys);
    texts[0] = "keys";
    texts[1] = info->name;
    texts[2] = figures->keys;
}

/* One object, its members named as in CSV. */
static void print_object(const struct figures *figures)
{
    for (size_t i = 0; i < figures->count; i++) {
        const struct figure *figure = &figures->items[i];
        const char *quote = figure->quoted ? "\"" : "";
        printf("%s\"%s\":%s%s%s", i > 0 ? "," : "{", figure->member, quote, figure->value, quote);
    }
    fputs(",\"keys\":{", stdout);
    for (size_t i = 0; i < ctrack_read_model_list_count(figures->models); i++) {
        const ctrack_read_model_info *info = ctrack_read_model_list_at(figures->models, i);
        fputs(i > 0 ? ",\"" : "\"", stdout);
        print_json_text(info->name);
        printf("\":%llu", (unsigned long long)info->keys);
    }
    puts("}}");
}

static int print_stats(ctrack *tracker, int schema, enum format format)
{
    static const struct column columns[] = {
        {"NAME", "name", false}, {"READ MODEL", "readModel", false}, {"VALUE", "value", true}};
    ctrack_error error;
    ctrack_stats stats = {.size = sizeof stats};
    ctrack_read_model_list *models = NULL;
    if (ctrack_get_stats(tracker, &stats, &error) != CTRACK_OK ||
        ctrack_read_models(tracker, &models, &error) != CTRACK_OK) {
        return fail_library(&error);
    }
    struct figures figures = {.format = format, .models = models};
    collect(&figures, &stats, schema);
    if (format == FORMAT_JSON || format == FORMAT_NDJSON) {
        print_object(&figures);
    } else {
        print_rows(format, columns, sizeof columns / sizeof columns[0],
                   figures.count + ctrack_read_model_list_count(models), row_texts, &figures);
    }
    ctrack_read_model_list_free(models);
    return EXIT_DONE;
}

static int run(const struct command *command, struct arguments *arguments)
{
    enum format format;
    ctrack *tracker;
    int schema, newest;
    int outcome = parse_file_and_format(command, arguments, &format);
    if (outcome != 0) {
        return outcome;
    }
    outcome = look_at_schema(arguments->values[0], &schema, &newest);
    outcome = outcome == 0 ? open_tracker(arguments->values[0], NULL, true, &tracker) : outcome;
    return outcome == 0 ? close_tracker(tracker, print_stats(tracker, schema, format)) : outcome;
}

const struct command command_stats = {
    .name = "stats",
    .summary = "print figures about a file",
    .usage = "FILE [--format table|ndjson|json|csv]",
    .help =
        "Prints the file's schema version; the sizes in bytes of file, page and write-ahead log (WAL), which is kept "
        "for\n"
        "reuse, and how many pages the WAL has room for; the rows of the log that are not folded yet; the version of\n"
        "SQLite that this program runs on, and whether it has SQLite's WAL-reset bug (ctrack avoids what triggers it; "
        "other\n"
        "programs on the file should not checkpoint); and the keys of each read model.\n"
        "\n"
        "  --format table          for people (the default)\n"
        "  --format json, ndjson   one object\n"
        "  --format csv            RFC 4180, with a header line\n"
        "\n"
        "Example:\n"
        "  ctrack stats progress.db --format json\n",
    .run = run,
};
