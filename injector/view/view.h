/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a run shows while it goes on. Four listeners: a compact live display on a terminal, plain
 * lines elsewhere, JSON lines for machines, and the plan of a run that does not happen. None of
 * them blocks the run or fails it.
 */
#ifndef SQUALL_VIEW_H
#define SQUALL_VIEW_H

#include "injector/base/loop.h"
#include "injector/run/event.h"

#include <stdio.h>

struct view;

enum view_kind { VIEW_LIVE, VIEW_PLAIN, VIEW_JSON, VIEW_PLAN };

/* Best called before rights are given up: then the terminal or pipe can be opened a second time.
 * Live needs `out` to be a terminal, else plain is used. Keeps pointers to experiment and loop; the
 * live display redraws itself by a loop timer at most ten times a second and on SIGWINCH
 * (view_resize). */
int view_new(enum view_kind kind, const struct experiment *experiment, struct loop *loop, FILE *out,
	     struct view **out_view, struct error *err);
struct event_listener view_listener(struct view *view);
void view_resize(struct view *view);
/* The terminal has answered: the cursor is in that row, from 1. */
void view_place(struct view *view, unsigned row);
/* The one on a terminal, whoever was asked for. */
bool view_is_live(const struct view *view);
/* Keys are heard: the live view says which. */
void view_show_keys(struct view *view, bool are_heard);
/* Puts the terminal back; the last frame stays visible. */
void view_free(struct view *view);

#endif
