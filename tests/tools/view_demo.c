/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Plays a ten-second run that never was through a view, and prints its report: to look at, and to
 * polish.
 *
 *   build/tests/tools/view_demo [live|plain|json|report|report-json] [healthy|idle|left]
 */
#include "injector/base/clock.h"
#include "injector/base/json.h"
#include "injector/base/log.h"
#include "injector/report/report.h"
#include "injector/run/result.h"
#include "injector/view/view.h"
#include "tests/support/fake_run.h"
#include "tests/support/stand_ins.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static volatile sig_atomic_t resized;

static void on_winch(int number)
{
	(void)number;
	resized = 1;
}

static void finish(struct fake_run *run, struct run_result *result, const char *how)
{
	if (strcmp(how, "left") == 0)
		fake_run_tell(
			run, FAKE_RUN_ENDS_NS,
			(struct event){.kind = EVENT_LEFT,
				       .text = "eth0: the qdisc 'netem 8001:' is still there; "
					       "remove it with: tc qdisc del dev eth0 root"});
	result_finish(result);
	fake_run_tell(run, FAKE_RUN_ENDS_NS,
		      (struct event){.kind = EVENT_RESULT, .result = result});
}

static void play(struct fake_run *run, struct loop *loop, struct view *view)
{
	while (run->done_ns < FAKE_RUN_ENDS_NS) {
		loop_turn(loop, 20 * NSEC_PER_MSEC, NULL);
		if (resized)
			view_resize(view);
		resized = 0;
		fake_run_play(run, clock_now_ns() - run->start_ns);
	}
}

int main(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "live", *how = argc > 2 ? argv[2] : "";
	struct run_result *result = NULL;
	struct view *view = NULL;
	struct loop *loop = NULL;
	struct fake_run run;
	json_t *root;
	struct winsize size = {.ws_col = 80};

	fake_run_init(&run, clock_now_ns());
	run.is_healthy = strcmp(how, "healthy") == 0;
	run.is_idle = strcmp(how, "idle") == 0;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGWINCH, on_winch);
	if (loop_new(&loop, NULL) < 0 || result_new(&run.experiment, "k3f9a2", &result, NULL) < 0)
		return 1;
	fake_run_listen(&run, result_listener(result));
	if (strncmp(kind, "report", 6) == 0) {
		fake_run_play(&run, FAKE_RUN_ENDS_NS);
		finish(&run, result, how);
	} else {
		enum view_kind view_kind = strcmp(kind, "json") == 0	? VIEW_JSON
					   : strcmp(kind, "plain") == 0 ? VIEW_PLAIN
									: VIEW_LIVE;

		if (view_new(view_kind, &run.experiment, loop, stdout, &view, NULL) < 0)
			return 1;
		fake_run_listen(&run, view_listener(view));
		play(&run, loop, view);
		finish(&run, result, how);
		view_free(view);
	}
	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	root = report_build(result);
	if (strcmp(kind, "report-json") == 0)
		json_print(json_incref(root), stdout, true, NULL);
	else if (strcmp(kind, "json") != 0)
		report_text(root, stdout, log_has_colour(STDOUT_FILENO), size.ws_col);
	json_decref(root);
	result_free(result);
	loop_free(loop);
	return 0;
}
