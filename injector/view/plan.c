/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What `squall plan` shows: step by step what would be touched and changed. Collects nothing: the
 * lines come in the order of the steps. */
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
	unsigned step; /* shown last, 1-based; 0: none */
	const char *label;
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
	plan->label = NULL;
}

static void show_line(struct plan_view *plan, const struct event *event)
{
	static const char *const labels[] = {
		[PLAN_TARGET] = "touches", [PLAN_CHANGE] = "changes", [PLAN_NOTE] = "note"};
	bool known = event->number >= PLAN_TARGET && event->number <= PLAN_NOTE;
	const char *label = labels[known ? event->number : PLAN_NOTE];
	bool is_note = label == labels[PLAN_NOTE];

	page_tab(&plan->page, 4);
	if (label != plan->label)
		page_put(&plan->page, TONE_QUIET, "%s", label);
	plan->label = label;
	page_tab(&plan->page, INDENT);
	page_wrap(&plan->page, is_note ? TONE_QUIET : TONE_NORMAL, INDENT + 2, "%s",
		  event->text ? event->text : "");
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

	if (event->kind == EVENT_PHASE && event->phase == PHASE_PLAN)
		show_head(plan, experiment);
	else if (event->kind == EVENT_PLAN && event->step < experiment->step_count) {
		if (plan->step != event->step + 1)
			show_step(plan, experiment, event->step);
		show_line(plan, event);
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
