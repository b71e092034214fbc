/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Chooses a view and passes events on. A view whose reader is gone falls silent; the run goes on.
 */
#include "injector/view/view.h"

#include "injector/base/clock.h"
#include "injector/base/log.h"
#include "injector/base/printable.h"
#include "injector/view/part.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static const struct view_part *const parts[] = {
	[VIEW_LIVE] = &live_view,
	[VIEW_PLAIN] = &plain_view,
	[VIEW_JSON] = &json_view,
	[VIEW_PLAN] = &plan_view,
};

int view_new(enum view_kind kind, const struct experiment *experiment, struct loop *loop, FILE *out,
	     struct view **out_view, struct error *err)
{
	struct view *view = calloc(1, sizeof(*view));
	int fd = fileno(out), result;

	if (!view)
		return error_errno(err, ENOMEM, "cannot make a view");
	if (kind == VIEW_LIVE && (fd < 0 || !isatty(fd)))
		kind = VIEW_PLAIN;
	view->part = parts[kind];
	view->experiment = experiment;
	view->loop = loop;
	view->utf8 = fd < 0 || !isatty(fd) || printable_has_utf8();
	view->columns = page_width(out);
	view->coloured = fd >= 0 && log_has_colour(fd);
	result = output_new(out, loop, &view->output, err);
	if (result == 0)
		result = view->part->open(view, err);
	if (result < 0) {
		output_free(view->output);
		free(view);
		return result;
	}
	*out_view = view;
	return 0;
}

static void on_event(void *context, const struct event *event)
{
	struct view *view = context;
	struct event now;

	if (!event->time_ns) { /* told by somebody without a clock */
		now = *event;
		now.time_ns = clock_now_ns();
		now.wall_ns = clock_wall_ns();
		event = &now;
	}
	if (!view->started_ns)
		view->started_ns = event->time_ns;
	if (!output_is_gone(view->output))
		view->part->event(view, event);
}

struct event_listener view_listener(struct view *view)
{
	return (struct event_listener){.fn = on_event, .context = view};
}

void view_resize(struct view *view)
{
	if (view->part->resize && !output_is_gone(view->output))
		view->part->resize(view);
}

void view_place(struct view *view, unsigned row)
{
	if (view->part->place && !output_is_gone(view->output))
		view->part->place(view, row);
}

bool view_is_live(const struct view *view)
{
	return view->part == &live_view;
}

void view_show_keys(struct view *view, bool are_heard)
{
	view->has_keys = are_heard;
}

void view_free(struct view *view)
{
	if (!view)
		return;
	view->part->close(view);
	output_free(view->output);
	free(view);
}
