/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Inside of the view: what the three kinds have in common. Each kind is one `const struct
 * view_part`.
 */
#ifndef SQUALL_VIEW_PART_H
#define SQUALL_VIEW_PART_H

#include "injector/base/page.h"
#include "injector/view/output.h"
#include "injector/view/view.h"

struct view_part {
	int (*open)(struct view *view, struct error *err);
	void (*event)(struct view *view, const struct event *event);
	void (*resize)(struct view *view);		/* may be NULL */
	void (*place)(struct view *view, unsigned row); /* may be NULL */
	void (*close)(struct view *view);
};

struct view {
	const struct view_part *part;
	const struct experiment *experiment;
	struct loop *loop;
	struct output *output;
	bool utf8, coloured, has_keys;
	unsigned columns;   /* of the terminal at the start; 80 elsewhere */
	int64_t started_ns; /* of the first event; 0: none yet */
	void *state;	    /* of the part */
};

extern const struct view_part plain_view, json_view, live_view, plan_view;

#endif
