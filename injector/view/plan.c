/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What `squall plan` shows: step by step what would be touched and changed. The lines come in the
 * order of the steps; those of one step are collected, so that each kind stands together. */
#include "injector/base/clock.h"
#include "injector/base/quantity.h"
#include "injector/view/part.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define INDENT 14 /* columns of step number and label */

struct plan_view {
	struct page page;
	char *text; /* what page writes to, owned by `memory` */
	size_t size;
	FILE *memory;
	unsigned step;		      /* shown last, 1-based; 0: none */
	char *lines[PLAN_KIND_COUNT]; /* of this step, each ends with a newline; owned */
};

static int plan_open(struct view *view, struct error *err)
{
	struct plan_view *plan = calloc(1, sizeof(*plan));

	view->state = plan;
	if (plan)
		plan->memory = open_memstream(&plan->text, &plan->size);
	if (!plan || !plan->memory) {
		view->part->close(view);
		return error_errno(err, ENOMEM, "cannot make a view");
	}
	page_init(&plan->page, plan->memory, view->coloured, view->columns);
	plan->page.utf8 = view->utf8;
	return 0;
}

static void plan_close(struct view *view)
{
	struct plan_view *plan = view->state;

	if (!plan)
		return;
	if (plan->memory)
		fclose(plan->memory);
	for (unsigned i = 0; i < PLAN_KIND_COUNT; i++)
		free(plan->lines[i]);
	free(plan->text);
	free(plan);
	view->state = NULL;
}

/* Sends what the page has written so far. */
static void send(struct view *view)
{
	struct plan_view *plan = view->state;

	fflush(plan->memory);
	output_write(view->output, plan->text, plan->size);
	rewind(plan->memory);
}

static void show_step(struct plan_view *plan, const struct experiment *experiment, unsigned step)
{
	const struct experiment_step *at = &experiment->steps[step];
	char text[300], when[QUANTITY_TEXT_SIZE], lasts[QUANTITY_TEXT_SIZE];

	page_line(&plan->page);
	experiment_describe_step(experiment, step, text, sizeof(text));
	page_put(&plan->page, TONE_NORMAL, "%3u ", step + 1);
	page_wrap(&plan->page, TONE_TITLE, 4, "%s", text);
	page_tab(&plan->page, 4);
	page_put(&plan->page, TONE_QUIET, "at %s", quantity_format_duration(at->at_ns, when));
	if (at->for_ns)
		page_put(&plan->page, TONE_QUIET, " for %s",
			 quantity_format_duration(at->for_ns, lasts));
	page_line(&plan->page);
	plan->step = step + 1;
}

static void keep_line(struct plan_view *plan, const struct event *event)
{
	bool known = event->number >= PLAN_TARGET && event->number < PLAN_KIND_COUNT;
	char **lines = &plan->lines[known ? event->number : PLAN_NOTE];
	const char *text = event->text ? event->text : "";
	size_t used = *lines ? strlen(*lines) : 0, length = strlen(text);
	char *grown = realloc(*lines, used + length + 2);

	if (!grown)
		return;
	memcpy(grown + used, text, length);
	memcpy(grown + used + length, "\n", 2);
	*lines = grown;
}

static void show_lines(struct plan_view *plan)
{
	static const struct {
		enum plan_kind kind;
		const char *label;
		enum tone tone;
	} order[] = {
		{PLAN_TARGET, "touches", TONE_NORMAL},
		{PLAN_WAY, "way", TONE_NORMAL},
		{PLAN_CHANGE, "changes", TONE_NORMAL},
		{PLAN_NOTE, "note", TONE_QUIET},
	};

	for (unsigned i = 0; i < sizeof(order) / sizeof(*order); i++) {
		char *lines = plan->lines[order[i].kind], *rest = lines, *line;

		while (rest && (line = strsep(&rest, "\n")) && *line) {
			page_tab(&plan->page, 4);
			if (line == lines)
				page_put(&plan->page, TONE_QUIET, "%s", order[i].label);
			page_tab(&plan->page, INDENT);
			page_wrap(&plan->page, order[i].tone, INDENT + 2, "%s", line);
		}
		free(lines);
		plan->lines[order[i].kind] = NULL;
	}
}

static void show_head(struct plan_view *plan, const struct experiment *experiment)
{
	char deadline[QUANTITY_TEXT_SIZE];

	page_wrap(&plan->page, TONE_TITLE, 0, "%s", experiment->title ? experiment->title : "");
	if (experiment->hypothesis)
		page_wrap(&plan->page, TONE_NORMAL, 0, "%s", experiment->hypothesis);
	page_wrap(&plan->page, TONE_QUIET, 0, "%u step%s, %u probe%s; limits: %u target%s, %s",
		  experiment->step_count, experiment->step_count == 1 ? "" : "s",
		  experiment->probe_count, experiment->probe_count == 1 ? "" : "s",
		  experiment->limits.targets, experiment->limits.targets == 1 ? "" : "s",
		  quantity_format_duration(experiment->limits.duration_ns, deadline));
}

static void plan_event(struct view *view, const struct event *event)
{
	struct plan_view *plan = view->state;
	const struct experiment *experiment = view->experiment;

	if (event->kind != EVENT_PLAN || plan->step != event->step + 1)
		show_lines(plan);
	if (event->kind == EVENT_PHASE && event->phase == PHASE_PLAN)
		show_head(plan, experiment);
	else if (event->kind == EVENT_PLAN && event->step < experiment->step_count) {
		if (plan->step != event->step + 1)
			show_step(plan, experiment, event->step);
		keep_line(plan, event);
	} else if (event->kind == EVENT_STOPPING || event->kind == EVENT_NOTE) {
		page_line(&plan->page);
		page_wrap(&plan->page, event->kind == EVENT_NOTE ? TONE_NORMAL : TONE_BAD, 0, "%s",
			  event->text ? event->text : "");
	}
	send(view);
}

const struct view_part plan_view = {
	.open = plan_open,
	.event = plan_event,
	.close = plan_close,
};
