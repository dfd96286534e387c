/* SPDX-License-Identifier: MIT */
#include "plot.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report.h"

/* The picture, and the frame of the curves in it. */
#define WIDTH 720
#define HEIGHT 390
#define LEFT 76.0
#define RIGHT 690.0
#define TOP 86.0
#define BOTTOM 320.0

static const char *const colours[] = {"#1f6feb", "#cf5a00", "#1a7f37"};
#define COLOURS (sizeof colours / sizeof *colours)

typedef struct plot {
    FILE *out;
    const bench *b;
    const char *curves[BENCH_ROWS_MAX];
    double xs[BENCH_ROWS_MAX];
    size_t curve_count, x_count;
    double step, top; /* of the scale of y */
} plot;

/* Curves and places in the order of the rows. */
static void collect(plot *p)
{
    double median = 0, highest = 0;
    for (size_t i = 0; i < p->b->row_count; i++) {
        const bench_row *row = &p->b->rows[i];
        if (row->curve == NULL) {
            continue;
        }
        size_t c = 0, x = 0;
        while (c < p->curve_count && strcmp(p->curves[c], row->curve) != 0) {
            c++;
        }
        while (x < p->x_count && p->xs[x] != row->x) {
            x++;
        }
        p->curves[c] = row->curve;
        p->xs[x] = row->x;
        p->curve_count += c == p->curve_count;
        p->x_count += x == p->x_count;
        report_summary s = report_summarize(row);
        median = fmax(median, s.median);
        highest = fmax(highest, s.highest);
    }
    highest = fmin(highest, 2 * median); /* a disturbed round must not press the curves flat: its bar is cut off */
    /* Steps of 1, 2 or 5 of some power of ten, four to ten of them. */
    double power = pow(10, floor(log10(highest / 4)));
    double leading = highest / 4 / power;
    p->step = power * (leading >= 5 ? 5 : leading >= 2 ? 2 : 1);
    p->top = p->step * ceil(highest / p->step);
}

static double place_x(const plot *p, size_t x)
{
    return LEFT + (RIGHT - LEFT) * ((double)x + 0.5) / (double)p->x_count;
}

/* The curves stand a little beside each other, so that their bars do not cover one another. */
static double place_point(const plot *p, size_t curve, size_t x)
{
    return place_x(p, x) + 7 * ((double)curve - ((double)p->curve_count - 1) / 2);
}

static double place_y(const plot *p, double value)
{
    return BOTTOM - (BOTTOM - TOP) * value / p->top;
}

static void text(const plot *p, double x, double y, const char *style, const char *content)
{
    fprintf(p->out, "<text x=\"%.1f\" y=\"%.1f\" %s>", x, y, style);
    for (const char *c = content; *c != '\0'; c++) {
        switch (*c) {
        case '&':
            fputs("&amp;", p->out);
            break;
        case '<':
            fputs("&lt;", p->out);
            break;
        default:
            putc(*c, p->out);
        }
    }
    fputs("</text>\n", p->out);
}

static void draw_frame(const plot *p, const char *made)
{
    const bench_plot *what = p->b->which->plot;
    char number[32];
    fprintf(p->out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" "
            "font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\" fill=\"#24292f\">\n"
            "<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n",
            WIDTH, HEIGHT, WIDTH, HEIGHT, WIDTH, HEIGHT);
    text(p, 20, 26, "font-size=\"15\" font-weight=\"bold\"", what->title);
    text(p, 20, TOP - 12, "fill=\"#57606a\"", what->y_axis);
    text(p, (LEFT + RIGHT) / 2, BOTTOM + 38, "text-anchor=\"middle\" fill=\"#57606a\"", what->x_axis);
    text(p, 20, HEIGHT - 12, "font-size=\"10\" fill=\"#57606a\"", made);
    text(p, RIGHT, HEIGHT - 12, "font-size=\"10\" fill=\"#57606a\" text-anchor=\"end\"",
         "dots: medians of the rounds; bars: lowest to highest");
    for (double y = 0; y < p->top + p->step / 2; y += p->step) {
        fprintf(p->out, "<path d=\"M%.1f %.1fH%.1f\" stroke=\"%s\"/>\n", LEFT, place_y(p, y), RIGHT,
                y > 0 ? "#d8dee4" : "#57606a");
        snprintf(number, sizeof number, "%g", y);
        text(p, LEFT - 8, place_y(p, y) + 4, "text-anchor=\"end\"", report_grouped(number, sizeof number, y));
    }
    for (size_t x = 0; x < p->x_count; x++) {
        text(p, place_x(p, x), BOTTOM + 18, "text-anchor=\"middle\"", report_grouped(number, sizeof number, p->xs[x]));
    }
}

/* The row of a curve at a place; NULL: none. */
static const bench_row *find_row(const plot *p, size_t curve, size_t x)
{
    for (size_t i = 0; i < p->b->row_count; i++) {
        const bench_row *row = &p->b->rows[i];
        if (row->curve != NULL && strcmp(row->curve, p->curves[curve]) == 0 && row->x == p->xs[x] && row->count > 0) {
            return row;
        }
    }
    return NULL;
}

static void draw_curve(const plot *p, size_t curve)
{
    const char *colour = colours[curve % COLOURS];
    char letter = 'M';
    fprintf(p->out, "<g stroke=\"%s\" fill=\"none\" stroke-width=\"1.5\">\n<path stroke-width=\"2\" d=\"", colour);
    for (size_t x = 0; x < p->x_count; x++) {
        const bench_row *row = find_row(p, curve, x);
        if (row != NULL) {
            fprintf(p->out, "%c%.1f %.1f", letter, place_point(p, curve, x), place_y(p, report_summarize(row).median));
            letter = 'L';
        }
    }
    fputs("\"/>\n", p->out);
    for (size_t x = 0; x < p->x_count; x++) {
        const bench_row *row = find_row(p, curve, x);
        if (row != NULL) {
            report_summary s = report_summarize(row);
            fprintf(p->out, "<path d=\"M%.1f %.1fV%.1f\"/><circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\" fill=\"%s\"/>\n",
                    place_point(p, curve, x), place_y(p, s.lowest), place_y(p, fmin(s.highest, p->top)),
                    place_point(p, curve, x), place_y(p, s.median), colour);
        }
    }
    fputs("</g>\n", p->out);
    double at = 25 + 260 * (double)curve;
    fprintf(p->out, "<circle cx=\"%.1f\" cy=\"45\" r=\"4\" fill=\"%s\"/>\n", at, colour);
    text(p, at + 10, 49, "", p->curves[curve]);
}

void plot_write(const bench *b, const char *directory, const char *made)
{
    char path[4096];
    plot p = {.b = b};
    int length = snprintf(path, sizeof path, "%s/%s", directory, b->which->plot->file);
    p.out = length < (int)sizeof path ? fopen(path, "w") : NULL;
    if (p.out == NULL) {
        bench_fail("cannot write %s: %s", path, strerror(errno));
    }
    collect(&p);
    draw_frame(&p, made);
    for (size_t curve = 0; curve < p.curve_count; curve++) {
        draw_curve(&p, curve);
    }
    fputs("</svg>\n", p.out);
    if (ferror(p.out) | fclose(p.out)) {
        bench_fail("cannot write %s: %s", path, strerror(errno));
    }
}
